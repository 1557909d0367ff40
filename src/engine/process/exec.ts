/** Further processes in running containers. */
import { rm } from "node:fs/promises";
import { LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import type { AttachPlan, Runtime, StdioPlan, Supervised } from "../../runtime/types.ts";
import type { Container } from "../container.ts";
import { containerPaused, notRunning } from "../errors.ts";
import type { ExecOptions, Planner } from "../plan/planner.ts";
import type { EnginePaths } from "../state/paths.ts";
import type { PendingAttach } from "./attach.ts";

/** The exit code of a process whose end nobody saw: as if killed. */
export const LOST_EXIT_CODE = 137;

export interface ExecRequestOptions extends ExecOptions {
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  detachKeys: string;
  /** True for a health check: nobody waits for it but the daemon that runs it. */
  isProbe?: boolean;
}

/** A further process in a running container. */
export class Exec {
  supervised: Supervised | undefined;
  /** The time when it was created, or found by this daemon. */
  readonly createdAtMs = Date.now();
  hasStarted = false;
  isRunning = false;
  /** The pid on the host; kept after the end, as Docker does. */
  pid = 0;
  exitCode: number | undefined;
  readonly #ready = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<number>();
  endedAtMs = Number.POSITIVE_INFINITY;

  constructor(
    readonly id: string,
    readonly container: Container,
    readonly options: ExecRequestOptions,
  ) {}

  get tty(): boolean {
    return this.options.Tty ?? false;
  }

  /** Publishes an event. `action` is Docker's word, which goes before the command. */
  publish(action: "exec_create" | "exec_start"): void {
    const [program, ...args] = this.options.Cmd;
    this.#publish(`${action}: ${program} ${args.join(" ")}`, {});
  }

  #publish(action: string, more: Record<string, string>): void {
    this.container.publish(action, { execID: this.id, ...more });
  }

  /** Resolves with the exit code. */
  get end(): Promise<number> {
    return this.#end.promise;
  }

  /** Resolves when it runs, or could not be started. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Takes the process that runs. */
  adopt(supervised: Supervised): void {
    this.supervised = supervised;
    this.isRunning = true;
    this.pid = supervised.pid;
    this.#ready.resolve();
  }

  ended(exitCode: number): void {
    this.failed(exitCode);
    this.#publish("exec_die", { exitCode: String(exitCode) });
  }

  /** Notes that it could not be started: no process of it has ended. */
  failed(exitCode: number): void {
    this.isRunning = false;
    this.exitCode = exitCode;
    this.endedAtMs = Date.now();
    this.#ready.resolve();
    this.#end.resolve(exitCode);
  }

  /** The streams that a client of the exec's start gets. */
  get attachPlan(): AttachPlan {
    const { attachStdin, attachStdout, attachStderr } = this.options;
    return { stdin: attachStdin, stdout: attachStdout, stderr: attachStderr, closeStdinOnEnd: !this.tty };
  }
}

/** The parts of the engine that starting an exec needs. */
export interface ExecContext {
  runtime: Runtime;
  planner: Planner;
  paths: EnginePaths;
  /** True when another engine has taken over: what happens is its affair. */
  readonly isDisposed: boolean;
}

/**
 * Runs the exec, once. Resolves when execve(2) has succeeded; `attach` gets the streams. `note` writes down that it starts.
 * @throws LighterError "conflict" if it has run already or the container does not run; else like `Runtime.exec`, after
 *   which the exec's exit code is 126.
 */
export async function startExec(
  context: ExecContext,
  exec: Exec,
  attach: PendingAttach | undefined,
  { consoleSize, note }: { consoleSize: readonly number[] | undefined; note: () => void },
): Promise<void> {
  const { container } = exec;
  if (exec.hasStarted) throw new LighterError("conflict", `Error: Exec command ${exec.id} has already run`);
  if (!container.isRunning) throw notRunning(container.id);
  if (container.record.paused) throw containerPaused(container.id);
  note();
  exec.hasStarted = true;
  exec.publish("exec_start");
  const options = consoleSize === undefined ? exec.options : { ...exec.options, ConsoleSize: consoleSize };
  try {
    await context.planner.prepareProfile(container.record);
    const paths = context.paths.container(container.id);
    const config = container.ociConfig?.deref() ?? context.planner.planRunning(container.record, paths);
    container.ociConfig = new WeakRef(config);
    const stdio: StdioPlan = { terminal: exec.tty, stdin: exec.options.attachStdin };
    const supervised = await context.runtime.exec({
      id: exec.id,
      containerPid: container.record.pid,
      config,
      process: context.planner.planExec(container.record, paths, config, options),
      runDirectory: context.paths.execDirectory(exec.id),
      stdio,
      attach: attach === undefined ? [] : [attach.plan],
    });
    exec.adopt(supervised);
    const [socket] = supervised.attached;
    attach?.deliver(socket && { socket, exitKnown: exec.end });
    void superviseExec(context, exec, supervised);
  } catch (error) {
    exec.failed(126); // also for a program that is not there, as with Docker
    await rm(context.paths.execDirectory(exec.id), { recursive: true, force: true });
    throw error;
  }
}

/** Waits for the end of an exec, and clears up. */
export async function superviseExec(context: ExecContext, exec: Exec, supervised: Supervised): Promise<void> {
  try {
    const { exitCode } = await supervised.exited;
    if (context.isDisposed) return;
    exec.ended(exitCode);
  } catch (error) {
    if (context.isDisposed) return;
    exec.ended(LOST_EXIT_CODE);
    log.error(`exec ${exec.id}: supervisor lost: ${messageOf(error)}`);
  }
  await supervised.gone;
  await rm(context.paths.execDirectory(exec.id), { recursive: true, force: true });
}
