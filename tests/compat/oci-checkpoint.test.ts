/** Checkpoint and restore, with the CRIU of this machine. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { testIf } from "../support/test-if.ts";
import { Scratch, tracesOf, until, whyNot } from "./oci-support.ts";

const criuWorks = () => spawnSync("criu", ["check", "--no-default-config"]).status === 0;
const reason = whyNot("criu", "busybox") ?? (criuWorks() ? undefined : "this kernel has not all that criu needs");
const isHybrid = detectCgroupHost().v1.length > 0;
const check = testIf(reason === undefined, reason ?? "");

let scratch: Scratch;
let folder = "";
let root = "";
beforeAll(() => {
  scratch = new Scratch();
  folder = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-checkpoint-"));
  root = join(folder, "root");
  if (reason === undefined) makeBundle("sh");
});
afterAll(() => {
  for (const id of ["cr-one", "cr-two"]) run("delete", "--force", id);
  for (const group of groups) process.kill(-group, "SIGKILL");
  scratch[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

function makeBundle(shell: string): void {
  mkdirSync(join(folder, "rootfs/bin"), { recursive: true });
  mkdirSync(join(folder, "shared"), { recursive: true });
  copyFileSync(Bun.which("busybox")!, join(folder, "rootfs/bin/busybox"));
  for (const name of [shell, "sleep"]) symlinkSync("busybox", join(folder, "rootfs/bin", name));
  writeConfig();
}

function writeConfig({ hasCgroupNamespace = true } = {}): void {
  rmSync(join(folder, "config.json"), { force: true });
  expect(run("spec", "--bundle", folder).status).toBe(0);
  const path = join(folder, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  const script = "i=0; while :; do i=$((i+1)); echo $i > /shared/n; echo $i; sleep 0.05; done";
  config.process = { ...config.process, terminal: false, args: ["sh", "-c", script] };
  config.mounts.push({ destination: "/shared", source: join(folder, "shared"), options: ["bind"] });
  config.linux.resources.pids = { limit: 77 };
  const others = config.linux.namespaces.filter(({ type }: { type: string }) => type !== "cgroup");
  config.linux.namespaces = [...others, ...(hasCgroupNamespace ? [{ type: "cgroup" }] : [])];
  writeFileSync(path, JSON.stringify(config));
}

function run(...args: string[]) {
  return spawnSync(scratch.runtime, ["--root", root, ...args], { encoding: "utf8", cwd: folder, timeout: 60_000 });
}

/** Shells of `runPiped`, which lead groups of their own: with them the ends of the pipes go. */
const groups: number[] = [];

/** With pipes for stdio, as callers have it: CRIU takes pipes over, but no files from outside. */
async function runPiped(output: string, ...args: string[]): Promise<void> {
  const line = '(sleep 1000 | "$0" "$@" 2>&1 | cat > "$OUTPUT") & :';
  const child = spawn("sh", ["-c", line, scratch.runtime, "--root", root, ...args], {
    cwd: folder,
    stdio: "ignore",
    detached: true,
    env: { ...process.env, OUTPUT: output },
  });
  if (child.pid !== undefined) groups.push(child.pid);
  await once(child, "exit");
}

async function nothingLeftOf(id: string): Promise<void> {
  await until(
    () => tracesOf(id).filter((trace) => !trace.includes("$OUTPUT")), // the dead are reaped in their own time
    (traces) => traces.length === 0,
  );
}

const counted = () => Number(readFileSync(join(folder, "shared/n"), "utf8"));
const stateOf = (id: string) => JSON.parse(run("state", id).stdout || "{}");

async function started(id: string): Promise<void> {
  await runPiped(join(folder, "out-1"), "create", "--bundle", folder, id);
  await until(
    () => stateOf(id).status,
    (status) => status === "created",
  );
  expect(run("start", id).status).toBe(0);
  await until(
    () => existsSync(join(folder, "shared/n")) && counted(),
    (count) => Number(count) > 3,
  );
}

check("a container that was checkpointed goes on where it was, under another name and with its limits", async () => {
  await started("cr-one");
  const images = join(folder, "images");
  expect(run("checkpoint", "--image-path", images, "cr-one")).toMatchObject({ status: 0, stderr: "" });
  expect(run("state", "cr-one").stderr).toContain("container does not exist");
  await nothingLeftOf("cr-one");
  const before = counted();

  const pidFile = join(folder, "pid");
  const flags = ["--detach", "--bundle", folder, "--image-path", images, "--pid-file", pidFile];
  await runPiped(join(folder, "out-2"), "restore", ...flags, "cr-two");
  await until(
    () => stateOf("cr-two").status,
    (status) => status === "running",
  );
  await until(counted, (count) => count > before + 3);
  expect(Number(readFileSync(join(folder, "out-2"), "utf8").split("\n")[0])).toBeGreaterThanOrEqual(before);
  const pid = readFileSync(pidFile, "utf8");
  expect(stateOf("cr-two").pid).toBe(Number(pid));
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toMatch(/:pids:\/cr-two$|^0::\/cr-two$/m);
  expect(JSON.parse(run("events", "--stats", "cr-two").stdout).data.pids.limit).toBe(77);
  expect(run("exec", "cr-two", "sh", "-c", "echo $$ in").stdout).toMatch(/^\d+ in\n$/);

  expect(run("delete", "--force", "cr-two").status).toBe(0);
  await nothingLeftOf("cr-two");
});

check("--leave-running lets the container go on", async () => {
  await started("cr-one");
  const args = ["--image-path", join(folder, "images-2"), "--leave-running"];
  expect(run("checkpoint", ...args, "cr-one")).toMatchObject({ status: 0, stderr: "" });
  const before = counted();
  await until(counted, (count) => count > before + 3);
  expect(stateOf("cr-one").status).toBe("running");
  expect(run("delete", "--force", "cr-one").status).toBe(0);
});

check("without CRIU the error says so, and the container stays", async () => {
  await started("cr-one");
  const outcome = run("--criu", "/no/such/criu", "checkpoint", "--image-path", join(folder, "images-3"), "cr-one");
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toContain("checkpoint and restore need CRIU");
  expect(stateOf("cr-one").status).toBe("running");
  expect(run("delete", "--force", "cr-one").status).toBe(0);
});

check("a directory that holds no checkpoint restores nothing and leaves nothing", async () => {
  const outcome = run("restore", "--detach", "--bundle", folder, "--image-path", join(folder, "none"), "cr-one");
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toContain("is this a checkpoint?");
  expect(run("state", "cr-one").stderr).toContain("container does not exist");
  await nothingLeftOf("cr-one");
});

testIf(reason === undefined && isHybrid, reason ?? "needs cgroup v1")(
  "with cgroup v1 mounts and no cgroup namespace a checkpoint is refused, and the container stays",
  async () => {
    writeConfig({ hasCgroupNamespace: false });
    await started("cr-one");
    const outcome = run("checkpoint", "--image-path", join(folder, "images-4"), "cr-one");
    expect(outcome).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("no cgroup namespace is not supported"),
    });
    expect(stateOf("cr-one").status).toBe("running");
    expect(run("delete", "--force", "cr-one").status).toBe(0);
  },
);
