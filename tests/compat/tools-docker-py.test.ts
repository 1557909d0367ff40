import { afterAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** docker-py, Docker's own client for Python, with real containers: its tests are in tools/docker_py.py. */

const hasDockerPy = spawnSync("python3", ["-c", "import docker"]).status === 0;
const stock = testIf(isRoot && hasDockerPy, isRoot ? "no python3-docker here" : "needs root");

let daemon: TestDaemon | undefined;

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

stock("docker-py does with us what it does with Docker", async () => {
  daemon = await TestDaemon.start();
  const child = spawn("python3", [join(import.meta.dirname, "tools/docker_py.py")], {
    env: { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code, output).toBe(0);
  expect(Number(/^Ran (\d+) tests/m.exec(output)?.[1]), output).toBeGreaterThan(9);
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
});
