import { afterAll, afterEach, expect } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  applyCgroupWrites,
  type CgroupHost,
  detectCgroupHost,
  freezeCgroup,
  isFrozen,
  locateController,
  planCgroup,
  readInterfaceFiles,
  readPids,
  removeCgroup,
  setupCgroupParents,
  signalCgroup,
  thawCgroup,
  watchOom,
} from "../../src/linux/cgroup/mod.ts";
import { playTask } from "../../src/linux/process/launcher.ts";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import type { Op } from "../../src/linux/program/op.ts";
import { createSealedExecutable } from "../../src/linux/sys/memfd.ts";
import type { OciResources } from "../../src/spec/oci-runtime.ts";
import { testIf } from "../support/test-if.ts";

/* What is done to all processes of a cgroup at once, on whichever version is mounted. */

const isRoot = process.getuid?.() === 0;
const rooted = testIf(isRoot, "needs root");
const host: CgroupHost = isRoot ? detectCgroupHost() : { mode: "legacy", v1: [] };
const parent = `/lighter-test-${randomBytes(4).toString("hex")}`;
const path = `${parent}/c`;
const children = new Set<ChildProcess>();

afterEach(async () => {
  if (!isRoot) return;
  await signalCgroup(host, path, 9);
  for (const child of children) {
    child.stdout!.destroy(); // what it started may have it too
    if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  }
  children.clear();
  await emptied();
  removeCgroup(host, path);
});

rooted("the launcher kills by no number that was another process's when it was read", async () => {
  const directory = mkdtempSync(join(tmpdir(), "lighter-kill-"));
  const [meant, other] = [spawn("sleep", ["1000"]), spawn("sleep", ["1000"])];
  const ends = [meant, other].map((sleeper) => once(sleeper, "exit"));
  const thread = readdirSync("/proc/self/task").find((number) => Number(number) !== process.pid);
  // Each look at the list is at another FIFO, which is in its place as soon as the one before it has been opened.
  const lists = [[other.pid, meant.pid, thread], [meant.pid, thread], []];
  const path = join(directory, "cgroup.procs");
  const steps = lists.map((list, i) => {
    const lines = list.map((pid) => `echo ${pid} >&3;`).join("");
    return `exec 3> '${path}'; mv '${path}.${i}' '${path}'; ${lines} exec 3>&-`;
  });
  expect(spawnSync("mkfifo", [path, ...lists.map((_, i) => `${path}.${i}`)]).status).toBe(0);
  const writer = spawn("sh", ["-e", "-c", steps.join("\n")], { stdio: "ignore" });
  const written = once(writer, "exit");
  const executableFd = createSealedExecutable("launcher", readFileSync("dist/launcher"));
  const why = "kill what is listed";
  const supervise = { init: "", hold: false, exitPath: "", socketPath: "" };
  const host: Op[] = [{ kind: "killCgroup", procsPath: path, why }];
  expect(await playTask(executableFd, encodeProgram({ host, init: [], cleanup: [], supervise }))).toBeUndefined();
  closeSync(executableFd);
  expect((await ends[0])![1]).toBe("SIGKILL");
  expect(readFileSync(`/proc/${other.pid}/stat`, "utf8")).toMatch(/^\d+ \(.*\) [^ZX]/);
  other.kill("SIGTERM");
  expect((await ends[1])![1]).toBe("SIGTERM");
  expect(await written).toEqual([0, null]);
  rmSync(directory, { recursive: true });
});

afterAll(() => {
  if (isRoot) removeCgroup(host, parent);
});

/** When nobody is in it any more: the kernel takes its time over what was killed. */
async function emptied(): Promise<void> {
  for (const { mountPoint } of [...host.v1, ...(host.v2 ? [host.v2] : [])])
    while (readPids(`${mountPoint}${path}`).length > 0) await Bun.sleep(5);
}

function makeCgroup(resources: OciResources = {}) {
  const plan = planCgroup(host, path, resources);
  setupCgroupParents(host, plan);
  for (const { path: directory, leaf } of plan.directories) if (leaf) mkdirSync(directory);
  applyCgroupWrites(plan.writes);
  return plan;
}

/** A shell in the cgroup that runs `script` from its first line of input on. */
function member(plan: ReturnType<typeof planCgroup>, script: string): ChildProcess {
  const child = spawn("/bin/sh", ["-c", `read go; ${script}`], { stdio: ["pipe", "pipe", "inherit"] });
  children.add(child);
  for (const file of [...plan.tasksFiles, ...(plan.v2Directory ? [`${plan.v2Directory}/cgroup.procs`] : [])])
    writeFileSync(file, String(child.pid));
  child.stdin!.write("\n");
  return child;
}

async function line(child: ChildProcess): Promise<string> {
  const [chunk] = (await once(child.stdout!, "data")) as [Buffer];
  return chunk.toString();
}

/** User and system time of a process, in ticks: what runs takes more. Source: proc_pid_stat(5). */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

rooted("a frozen cgroup's processes, forks in a cgroup below included, take no more time until they thaw", async () => {
  const plan = makeCgroup();
  const freezer = locateController(host, "freezer");
  const below = `${freezer?.version === 1 ? freezer.mountPoint : host.v2!.mountPoint}${path}/below`;
  mkdirSync(below);
  const busy = "while :; do :; done & echo $!; while :; do :; done";
  const child = member(plan, busy);
  const forked = Number(await line(child));
  writeFileSync(`${below}/cgroup.procs`, String(forked));
  expect(isFrozen(host, path)).toBe(false);

  await freezeCgroup(host, path);
  expect(isFrozen(host, path)).toBe(true);
  expect(isFrozen(host, `${path}/below`)).toBe(false); // it is for its parent's sake
  const before = [ticks(child.pid!), ticks(forked)];
  await Bun.sleep(100); // long enough for ten ticks of what would run
  expect([ticks(child.pid!), ticks(forked)]).toEqual(before);
  await freezeCgroup(host, path); // is no failure

  thawCgroup(host, path);
  expect(isFrozen(host, path)).toBe(false);
  while (ticks(child.pid!) === before[0]) await Bun.sleep(5);
});

rooted("a cgroup in which processes come and go all the time can be frozen", async () => {
  const child = member(makeCgroup(), "echo begun; while :; do /bin/true & /bin/true; wait; done");
  await line(child);
  for (let round = 0; round < 20; round++) {
    await freezeCgroup(host, path);
    thawCgroup(host, path);
  }
});

rooted("signalCgroup reaches every process, also those of a frozen cgroup, which stays frozen", async () => {
  const child = member(makeCgroup(), "trap 'echo caught; exit 3' USR1; echo ready; while :; do /bin/sleep 0.01; done");
  await line(child);
  await freezeCgroup(host, path);
  expect(await signalCgroup(host, path, 10)).toBe(true);
  expect(isFrozen(host, path)).toBe(true);
  thawCgroup(host, path);
  expect(await line(child)).toContain("caught");
  await once(child, "close");
  expect(child.exitCode).toBe(3);
});

rooted("SIGKILL ends every process of a cgroup, frozen or forking", async () => {
  for (const frozen of [false, true]) {
    const child = member(makeCgroup(), "echo ready; while :; do /bin/true & /bin/sleep 60 & /bin/true; done");
    await line(child);
    const ended = once(child, "close");
    if (frozen) await freezeCgroup(host, path);
    expect(await signalCgroup(host, path, 9)).toBe(true);
    child.stdout!.destroy(); // the sleeping ones have it too
    await ended;
    expect(child.signalCode).toBe("SIGKILL");
    await emptied();
    removeCgroup(host, path);
  }
  expect(await signalCgroup(host, path, 9)).toBe(false); // there is no such cgroup
});

rooted("a host without a freezer is told so, by name", async () => {
  const without: CgroupHost = {
    mode: "legacy",
    v1: host.v1.map((each) => ({ ...each, controllers: each.controllers.filter((name) => name !== "freezer") })),
  };
  await expect(freezeCgroup(without, path)).rejects.toMatchObject({
    code: "not-supported",
    message: expect.stringContaining("freezer"),
  });
});

const hasMemory = isRoot && locateController(host, "memory") !== undefined;
testIf(hasMemory, "no memory controller here, or not root")(
  "watchOom tells of each time that the cgroup runs out of memory, and not of a process that just ends",
  async () => {
    const plan = makeCgroup({ memory: { limit: 16 * 2 ** 20, swap: 16 * 2 ** 20 } });
    let told = 0;
    let wake = () => {};
    using watch = watchOom(host, path, () => {
      told++;
      wake();
    });
    const eaten = "/bin/dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null";
    for (const expected of [1, 2]) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await once(member(plan, `${eaten}; true`), "close");
      await woken;
      watch.check();
      expect(told).toBe(expected);
    }
    await once(member(plan, "true"), "close");
    watch.check();
    expect(told).toBe(2);
  },
);

rooted("the files of a cgroup at the top of a hierarchy are known, and nothing is left of the look", () => {
  const plan = planCgroup(host, `/lighter-test-top-${process.pid}`, {});
  const files = readInterfaceFiles(plan);
  expect(files.has("cgroup.procs")).toBe(true);
  if (hasMemory) expect(files.has("memory.limit_in_bytes") || files.has("memory.max")).toBe(true);
  for (const { path: directory } of plan.directories)
    expect(existsSync(`${directory.slice(0, directory.lastIndexOf("/"))}/lighter-probe-${process.pid}`)).toBe(false);
});
