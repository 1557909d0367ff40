/** Lets the launcher take the place of a foreground command. */
import { prepareStandIn } from "../linux/process/stand-in.ts";
import { O, OpList, text } from "../linux/program/builder.ts";
import { encodeProgram } from "../linux/program/encode.ts";
import type { Program } from "../linux/program/op.ts";
import { AT_FDCWD, LOCK_EX, LOCK_UN } from "../linux/sys/abi.ts";
import { duplicateFd } from "../linux/sys/memfd.ts";
import { type KeptContainer, removeContainer } from "./later.ts";

/** What remains to be done for a foreground command once its launcher is at work. A stand-in does it in our place. */
export interface StandInPlan {
  /** The container's state to write, if the process is its init. */
  state?: StandInState;
  /** The absolute path of a file to which the process's pid is written, as a whole or not at all. */
  pidFile?: { path: string; temporary: string };
  end: StandInEnd;
  /** The arguments that `ps` shows for the stand-in. */
  argv: readonly string[];
  /** Signals to pass on once the process has started. */
  signals: readonly number[];
  /** Further fds, besides stdin, that stay open until it has started, for the program that is executed on failure. */
  preserved: readonly number[];
  otherwise: Otherwise;
}

interface StandInState {
  /** The open directory, which stays locked until the process has started. */
  fd: number;
  /** The name of the state's file in it. */
  file: string;
  /** The file's text in three parts: init's pid goes after the first, its start time after the second. */
  texts: readonly [string, string, string];
}

/** What happens when the process has ended. */
type StandInEnd =
  | { kind: "nothing" }
  /** The container is deleted; needs `state`. */
  | { kind: "container"; container: KeptContainer }
  /** The directory of an exec's run-time files is removed. */
  | { kind: "exec"; directory: string };

/** The programs that are executed if anything fails. */
interface Otherwise {
  path: string;
  env: readonly string[];
  /** Before the process has started: does everything again, or says why it cannot be done. */
  again: readonly string[];
  /** After that: says what is wrong, and ends what is left; it gives the exit code if that is not known. */
  finish: readonly string[];
}

/** A mask of signals below 32: bit n - 1 is signal n, as in the kernel's sigset_t. */
export function signalMask(signals: readonly number[]): number {
  return signals.reduce((mask, signal) => mask + 2 ** (signal - 1), 0);
}

/** HUP, INT, QUIT and TERM, by which people end a command that hangs before it has started anything. */
const ENDING = signalMask([1, 2, 3, 15]);

/**
 * Compiles the stand-in's program. `connection` is the fd of a control connection to the supervisor, `stdin` that of a copy of
 * our stdin, which is restored.
 */
export function compileStandIn(plan: StandInPlan, connection: number, stdin: number): Program {
  const { state, pidFile, end, signals, preserved } = plan;
  const ops = new OpList("host");
  ops.add({ kind: "awaitStart", connection, start: false, ending: ENDING, out: "pid", why: "it is ready" });
  if (state !== undefined) {
    const fresh = `${state.file}.new`;
    writeProcess(ops, [state.fd, fresh, state.file], 0o600, state.texts, "the container's state");
  }
  if (pidFile !== undefined)
    writeProcess(ops, [AT_FDCWD, pidFile.temporary, pidFile.path], 0o666, ["", "", ""], "its pid");
  ops.add({ kind: "awaitStart", connection, start: true, ending: 0, out: "started", why: "start it" });
  if (state !== undefined) ops.call("flock", [state.fd, LOCK_UN], "others may exec in it, and kill it");
  for (const fd of [stdin, ...preserved]) ops.call("close", [fd], "it has its own");
  ops.add({ kind: "awaitExit", connection, signals: signalMask(signals), out: "code", why: "its exit code is ours" });
  if (end.kind === "container" && state !== undefined) {
    ops.call("flock", [state.fd, LOCK_EX], "one command at a time");
    ops.call("openat", [state.fd, text("."), O.DIRECTORY | O.CLOEXEC, 0], "the container's state", { out: "state" });
    ops.call("openat", [state.fd, text(state.file), O.PATH | O.CLOEXEC, 0], "nobody has deleted it meanwhile", {
      ...{ out: "there", tolerate: ["ENOENT"] },
    });
    removeContainer(ops, end.container, { guard: "there" });
  } else if (end.kind === "exec") {
    const why = "the exec is over";
    ops.open(end.directory, O.DIRECTORY, "run", why, { tolerate: ["ENOENT"] });
    ops.add({ kind: "removeTree", directory: "run", path: end.directory, why, guard: "run" });
  }
  return {
    host: ops.ops,
    init: [],
    cleanup: compileOtherwise(plan, connection, stdin),
    supervise: { init: "code", hold: false, exitPath: "", socketPath: "" },
  };
}

function compileOtherwise({ state, otherwise }: StandInPlan, connection: number, stdin: number): Program["cleanup"] {
  const { path, env, again, finish } = otherwise;
  const ops = new OpList("cleanup");
  if (state !== undefined) ops.call("flock", [state.fd, LOCK_UN], "who is executed locks it");
  ops.call("close", [connection], "whom nobody waits for any more", { tolerate: ["EBADF"] });
  ops.call("dup3", [stdin, 0, 0], "the program was there", { unless: "started" });
  const execute = { kind: "execute", paths: [path], env } as const;
  ops.add({ ...execute, argv: again, why: "once more, from the beginning", unless: "started" });
  ops.add({ ...execute, argv: finish, why: "it knows what to do", guard: "started" });
  return ops.ops;
}

function writeProcess(
  ops: OpList,
  [directory, fresh, name]: readonly [number, string, string],
  mode: number,
  [before, between, after]: StandInState["texts"],
  why: string,
): void {
  const flags = O.WRONLY | O.CREAT | O.TRUNC | O.CLOEXEC;
  ops.call("openat", [directory, text(fresh), flags, mode], why, { out: "file" });
  ops.add({ kind: "writeProcess", fd: "file", pid: "pid", before, between, after, why });
  ops.close("file", why);
  ops.call("renameat2", [directory, text(fresh), directory, text(name), 0], why);
}

/** Prepares the stand-in. Calling the result replaces this process, or throws. `executableFd` is the launcher's. */
export function openStandIn(plan: StandInPlan, connection: number, executableFd: number): () => never {
  const stdin = duplicateFd(0, 0);
  return prepareStandIn({
    executableFd,
    program: encodeProgram(compileStandIn(plan, connection, stdin)),
    fds: [connection, stdin, ...(plan.state ? [plan.state.fd] : []), ...plan.preserved],
    signalMask: signalMask(plan.signals),
    argv: plan.argv,
    env: plan.otherwise.env,
  });
}
