/** Docker Compose has our daemon build a project's images, and build them anew while their files are being changed. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { canBuild, loadTools } from "../support/tools-image.ts";

const hasCompose = spawnSync("docker", ["compose", "version"]).status === 0;
const canRun = canBuild && hasCompose;
const compose = testIf(canRun, isRoot ? "no docker compose, or no static busybox here" : "needs root");

const PROJECT = `
name: built
services:
  app:
    build: { context: ., args: { WHO: compose }, labels: { of: compose } }
    network_mode: none
    stop_signal: SIGKILL
    develop:
      watch:
        - { action: rebuild, path: ./made }
        - { action: sync, path: ./live, target: /live }
`;
const DOCKERFILE = `FROM tools:1
ARG WHO
COPY made /made
COPY live /live
RUN --network=none echo $WHO > /who
CMD ["sleep", "100000"]
`;

let daemon: TestDaemon;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "lighter-compose-"));
  if (!canRun) return;
  daemon = await TestDaemon.start();
  await loadTools(daemon);
  for (const name of ["made", "live"]) {
    mkdirSync(join(directory, name));
    writeFileSync(join(directory, name, "file"), "first\n");
  }
  writeFileSync(join(directory, "compose.yaml"), PROJECT);
  writeFileSync(join(directory, "Dockerfile"), DOCKERFILE);
});

afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await daemon?.[Symbol.asyncDispose]();
});

function start(...args: string[]) {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  const argv = ["docker", "compose", "--ansi=never", "--progress=plain", ...args];
  return Bun.spawn(argv, { env, cwd: directory, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

async function run(...args: string[]): Promise<string> {
  const child = start(...args);
  const said = [new Response(child.stdout).text(), new Response(child.stderr).text()] as const;
  const [stdout, stderr] = await Promise.all(said);
  if ((await child.exited) !== 0) throw new Error(`docker compose ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

const read = (path: string) => run("exec", "-T", "app", "cat", path).catch(String); // it may be being replaced

compose("up --build builds an image with the project's arguments and labels, and starts it", async () => {
  await run("up", "--detach", "--build");
  expect(await read("/who")).toBe("compose\n");
  const { json } = await daemon.request("GET", "/images/built-app/json");
  expect(json.Config.Labels).toMatchObject({ of: "compose" });
});

compose("watch builds anew what has changed, and puts into the container what is only to be there", async () => {
  const child = start("watch", "--no-up");
  let said = "";
  const hear = async (stream: ReadableStream<Uint8Array>) => {
    const reader = stream.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) said += Buffer.from(next.value);
  };
  const heard = Promise.all([hear(child.stdout), hear(child.stderr)]);
  try {
    await until(() => /watch enabled|watching/i.test(said), "compose watches");
    writeFileSync(join(directory, "live/file"), "synced\n");
    await until(async () => (await read("/live/file")) === "synced\n", "the file is in the container");
    writeFileSync(join(directory, "made/file"), "rebuilt\n");
    await until(async () => (await read("/made/file")) === "rebuilt\n", "the new container runs");
    child.kill("SIGKILL");
    await heard;
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  await run("down", "--timeout=0");
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
});
