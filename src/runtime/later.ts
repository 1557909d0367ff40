/** Compiles a container's later commands when it is created, so that they need no start of Bun. */
import { utf8 } from "../base/bytes.ts";
import { OCI_START_TIMEOUT_MS } from "../base/limits.ts";
import { CGROUP_GONE, type CgroupHost, planCgroup, selfFreezingFile } from "../linux/cgroup/mod.ts";
import { O, type OpExtras, OpList, slot, text } from "../linux/program/builder.ts";
import { encodeProgram } from "../linux/program/encode.ts";
import type { Program } from "../linux/program/op.ts";
import { AT_FDCWD, LOCK_EX } from "../linux/sys/abi.ts";

/** A container whose init has ended, as its runtime remembers it. */
export interface KeptContainer {
  /** The directory of its state and its lock; absolute. */
  directory: string;
  /** The name of the state's file in it. */
  stateFile: string;
  cgroups: CgroupHost;
  /** Empty if it has no cgroup. */
  cgroupsPath: string;
}

/** A container that waits at its FIFO. */
interface CreatedContainer extends KeptContainer {
  /** The FIFO's name in `directory`. */
  startFifo: string;
  pid: number;
  /** Field 22 of proc_pid_stat(5). */
  pidStartTime: number;
  /** The output of `state`. */
  stateTexts: Record<"created" | "running" | "stopped", string>;
}

type LaterCommand = "start" | "kill" | "delete" | "state";

/** The longest text that goes into a pipe as a whole or not at all. Source: pipe(7), PIPE_BUF. */
const STATE_TEXT_MAX_BYTES = 4096;

/**
 * Compiles what the container's later commands do in the usual case: for each a program of system calls for launcher/runtime.c,
 * which puts the signal into its slot. If the container is not in the usual state, the program fails before it has changed
 * anything, and what it does may be repeated from the beginning.
 */
export function compileLater(
  container: CreatedContainer,
): Record<Exclude<LaterCommand, "state">, Program> & { state?: Program } {
  const state = compileState(container);
  return {
    start: compileStart(container),
    kill: compileKill(container),
    delete: compileDelete(container),
    ...(state && { state }),
  };
}

export function encodeLater(container: CreatedContainer): [LaterCommand, Uint8Array][] {
  const programs = Object.entries(compileLater(container)) as [LaterCommand, Program][];
  return programs.map(([command, program]) => [command, encodeProgram(program)]);
}

function compileStart(container: CreatedContainer): Program {
  const { startFifo } = container;
  const ops = lock(container);
  checkInit(ops, container, true);
  const flags = O.WRONLY | O.NONBLOCK | O.CLOEXEC;
  const why = "init waits for a byte";
  ops.call("openat", [slot("state"), text(startFifo), flags, 0], why, { out: "fifo" });
  ops.call("write", [slot("fifo"), { data: new Uint8Array([0x30]), show: '"0"' }, 1], why);
  ops.add({
    kind: "awaitReadersGone",
    fd: "fifo",
    timeoutMs: OCI_START_TIMEOUT_MS,
    tolerate: ["ETIMEDOUT"],
    why: "its execve closes it",
  });
  ops.call("unlinkat", [slot("state"), text(startFifo), 0], "it has been started", { tolerate: ["ENOENT"] });
  return programOf(ops);
}

function compileKill(container: CreatedContainer): Program {
  const ops = lock(container);
  ops.call("pidfd_open", [container.pid, 0], "init", { out: "init" });
  checkInit(ops, container, true);
  checkThawed(ops, container);
  ops.call("pidfd_send_signal", [slot("init"), slot("signal"), 0, 0], "the signal");
  return programOf(ops);
}

function compileDelete(container: CreatedContainer): Program {
  const ops = lock(container);
  checkInit(ops, container, false);
  removeContainer(ops, container);
  return programOf(ops);
}

/** Removes what is left, once init has ended. The slot "state" holds the open directory, which is the lock. */
export function removeContainer(ops: OpList, container: KeptContainer, extras: OpExtras = {}): void {
  const { directory, stateFile } = container;
  checkThawed(ops, container, extras);
  removeCgroup(ops, container, extras);
  const why = "the container is gone";
  ops.call("unlinkat", [slot("state"), text(stateFile), 0], why, extras);
  ops.add({ kind: "removeTree", directory: "state", path: directory, why, ...extras });
}

/** Compiles `state`. It takes no lock. A paused container is left to the full command. */
function compileState(container: CreatedContainer): Program | undefined {
  const { directory, startFifo, stateTexts } = container;
  if (Object.values(stateTexts).some((each) => utf8(each).length > STATE_TEXT_MAX_BYTES)) return undefined;
  const ops = new OpList("host");
  checkInit(ops, container, true, { out: "lives", tolerate: ["ESRCH"] });
  const flags = O.WRONLY | O.NONBLOCK | O.CLOEXEC;
  ops.call("openat", [AT_FDCWD, text(`${directory}/${startFifo}`), flags, 0], "init waits for a byte", {
    ...{ out: "waits", guard: "lives", tolerate: ["ENOENT", "ENXIO"] },
  });
  checkThawed(ops, container, { guard: "lives", unless: "waits" });
  const print = (status: keyof typeof stateTexts, when: OpExtras) => {
    const data = utf8(stateTexts[status]);
    ops.call("write", [1, { data, show: JSON.stringify(stateTexts[status]) }, data.length], status, when);
  };
  print("created", { guard: "waits" });
  print("running", { guard: "lives", unless: "waits" });
  print("stopped", { unless: "lives" });
  return programOf(ops);
}

function lock({ directory, stateFile }: KeptContainer): OpList {
  const ops = new OpList("host");
  ops.open(directory, O.RDONLY | O.DIRECTORY, "state", "the container's state");
  ops.call("flock", [slot("state"), LOCK_EX], "one command at a time");
  const why = "nobody has deleted it meanwhile";
  ops.call("openat", [slot("state"), text(stateFile), O.PATH | O.CLOEXEC, 0], why, { out: "there" });
  return ops;
}

function checkInit(ops: OpList, container: CreatedContainer, lives: boolean, extras: OpExtras = {}): void {
  const { pid, pidStartTime: startTime } = container;
  const why = lives ? "init has not ended" : "init has ended";
  ops.add({ kind: "checkProcess", pid, startTime, lives, why, ...extras });
}

function checkThawed(ops: OpList, { cgroups, cgroupsPath }: KeptContainer, extras: OpExtras = {}): void {
  const path = cgroupsPath === "" ? undefined : selfFreezingFile(cgroups, cgroupsPath);
  if (path !== undefined)
    ops.add({ kind: "checkText", path, text: "0", tolerate: CGROUP_GONE, why: "it is not frozen", ...extras });
}

function removeCgroup(ops: OpList, { cgroups, cgroupsPath }: KeptContainer, extras: OpExtras): void {
  if (cgroupsPath === "") return;
  const { killFile, v2Directory, directories } = planCgroup(cgroups, cgroupsPath, {});
  const leaves = directories.filter(({ leaf }) => leaf).map(({ path }) => path);
  const why = "kill what is left";
  if (killFile !== undefined) ops.write(null, killFile, "1", why, { ...extras, tolerate: CGROUP_GONE });
  const procsPath = `${v2Directory ?? leaves[0]}/cgroup.procs`;
  ops.add({ kind: "killCgroup", procsPath, why: `${why}, and wait for it`, ...extras });
  for (const path of leaves) ops.add({ kind: "removeCgroup", path, why: "the container's cgroup", ...extras });
}

function programOf({ ops }: OpList): Program {
  return { host: ops, init: [], cleanup: [], supervise: { init: "signal", hold: false, exitPath: "", socketPath: "" } };
}
