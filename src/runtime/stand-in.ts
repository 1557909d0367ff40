import { prepareStandIn } from "../linux/process/stand-in.ts";
import { O, OpList, text } from "../linux/program/builder.ts";
import { encodeProgram } from "../linux/program/encode.ts";
import type { Program } from "../linux/program/op.ts";
import { type KeptContainer, lockState, removeContainer } from "./later.ts";

/** What a stand-in does when the process has ended. */
export type StandInEnd =
  | { kind: "nothing"; stateFd: number }
  /** `stateFd`: its state directory, open as long as we are, so that nobody else's of that name is taken for it. */
  | { kind: "container"; container: KeptContainer; stateFd: number }
  /** The directory of an exec's run-time files goes. */
  | { kind: "exec"; directory: string };

/** A process that waits in our place for the end of one that is supervised, without Bun: for `Supervised.standIn`. */
export interface StandInPlan {
  end: StandInEnd;
  /** What `ps` shows of it. */
  argv: readonly string[];
  /** Numbers of signals to pass on. */
  signals: readonly number[];
  /** Executed where anything fails, to say so and to end what is left; it gives the exit code if that is not known. */
  otherwise: { path: string; argv: readonly string[]; env: readonly string[] };
}

/** Bit n - 1 is signal n: the kernel's sigset_t, of signals below 32. */
export function signalMask(signals: readonly number[]): number {
  return signals.reduce((mask, signal) => mask + 2 ** (signal - 1), 0);
}

/** `connection`: the fd of a control connection to the supervisor. */
export function compileStandIn({ end, signals, otherwise }: StandInPlan, connection: number): Program {
  const ops = new OpList("host");
  ops.add({ kind: "awaitExit", connection, signals: signalMask(signals), out: "code", why: "its exit code is ours" });
  if (end.kind === "container") {
    const { container, stateFd } = end;
    ops.call("openat", [stateFd, text("."), O.DIRECTORY | O.CLOEXEC, 0], "the container's state", { out: "state" });
    lockState(ops, container.stateFile, { tolerate: ["ENOENT"] });
    removeContainer(ops, container, { guard: "there" });
  } else if (end.kind === "exec") {
    const why = "the exec is over";
    ops.open(end.directory, O.DIRECTORY, "run", why, { tolerate: ["ENOENT"] });
    ops.add({ kind: "removeTree", directory: "run", path: end.directory, why, guard: "run" });
  }
  const cleanup = new OpList("cleanup");
  const { path, argv, env } = otherwise;
  cleanup.add({ kind: "execute", paths: [path], argv, env, why: "it knows what to do" });
  return {
    host: ops.ops,
    init: [],
    cleanup: cleanup.ops,
    supervise: { init: "code", hold: false, exitPath: "", socketPath: "" },
  };
}

/** Ready to take our place, which calling the result does: see `Supervised.standIn`. `executableFd`: of the launcher. */
export function openStandIn(plan: StandInPlan, connection: number, executableFd: number): () => void {
  return prepareStandIn({
    executableFd,
    program: encodeProgram(compileStandIn(plan, connection)),
    fds: plan.end.kind === "exec" ? [connection] : [connection, plan.end.stateFd],
    signalMask: signalMask(plan.signals),
    argv: plan.argv,
    env: plan.otherwise.env,
  });
}
