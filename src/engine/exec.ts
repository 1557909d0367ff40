import { rm } from "node:fs/promises";
import { LighterError, messageOf } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { AttachPlan, Runtime, StdioPlan, Supervised } from "../runtime/types.ts";
import type { PendingAttach } from "./attach.ts";
import type { Container } from "./container.ts";
import { notRunning } from "./errors.ts";
import type { EnginePaths } from "./paths.ts";
import type { ExecOptions, Planner } from "./planner.ts";

export interface ExecRequestOptions extends ExecOptions {
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  detachKeys: string;
}

/** A further process in a running container. Lives in memory only: its client's stream dies with the daemon anyway. */
export class Exec {
  supervised: Supervised | undefined;
  hasStarted = false;
  isRunning = false;
  /** On the host; kept after the end, as Docker does. */
  pid = 0;
  exitCode: number | undefined;
  endedAtMs = Number.POSITIVE_INFINITY;

  constructor(
    readonly id: string,
    readonly container: Container,
    readonly options: ExecRequestOptions,
  ) {}

  get tty(): boolean {
    return this.options.Tty ?? false;
  }

  /** The streams a client of the exec's start gets. */
  get attachPlan(): AttachPlan {
    const { attachStdin, attachStdout, attachStderr } = this.options;
    return { stdin: attachStdin, stdout: attachStdout, stderr: attachStderr, closeStdinOnEnd: !this.tty };
  }
}

/** What starting an exec needs of the engine. */
export interface ExecContext {
  runtime: Runtime;
  planner: Planner;
  paths: EnginePaths;
}

/**
 * Runs the exec, once. Resolves when execve(2) has succeeded; `attach` gets the streams.
 * @throws LighterError "conflict" if it has run already or the container does not run; else like `Runtime.exec`, after
 *   which the exec's exit code is 126 or 127 as a shell's would be.
 */
export async function startExec(
  context: ExecContext,
  exec: Exec,
  attach: PendingAttach | undefined,
  consoleSize: readonly number[] | undefined,
): Promise<void> {
  const { container } = exec;
  if (exec.hasStarted) throw new LighterError("conflict", `Error: Exec command ${exec.id} has already run`);
  if (!container.isRunning) throw notRunning(container.id);
  exec.hasStarted = true;
  const options = consoleSize === undefined ? exec.options : { ...exec.options, ConsoleSize: consoleSize };
  try {
    const paths = context.paths.container(container.id);
    container.ociConfig ??= context.planner.planRunning(container.record, paths);
    const stdio: StdioPlan = { terminal: exec.tty, stdin: exec.options.attachStdin };
    exec.supervised = await context.runtime.exec({
      id: exec.id,
      containerPid: container.record.pid,
      config: container.ociConfig,
      process: context.planner.planExec(container.record, paths, container.ociConfig, options),
      runDirectory: context.paths.execDirectory(exec.id),
      stdio,
      attach: attach === undefined ? [] : [attach.plan],
    });
  } catch (error) {
    exec.exitCode = error instanceof LighterError && error.code === "exec-not-found" ? 127 : 126;
    exec.endedAtMs = Date.now();
    throw error;
  }
  exec.isRunning = true;
  exec.pid = exec.supervised.pid;
  attach?.deliver(exec.supervised.attached[0]);
  void superviseExec(context, exec, exec.supervised);
}

async function superviseExec(context: ExecContext, exec: Exec, supervised: Supervised): Promise<void> {
  try {
    exec.exitCode = (await supervised.exited).exitCode;
  } catch (error) {
    exec.exitCode = 137;
    log.error(`exec ${exec.id}: supervisor lost: ${messageOf(error)}`);
  }
  exec.isRunning = false;
  exec.endedAtMs = Date.now();
  await supervised.gone;
  await rm(context.paths.execDirectory(exec.id), { recursive: true, force: true });
}
