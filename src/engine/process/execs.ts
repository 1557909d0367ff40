/** The execs of all containers. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { EXEC_FILE_MAX_BYTES } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { parseSignal, SIGNALS } from "../../base/signals.ts";
import { inSpan } from "../../base/spans.ts";
import { writePoint } from "../../base/write-point.ts";
import type { AttachPlan, Supervised } from "../../runtime/types.ts";
import type { Container } from "../container.ts";
import { containerPaused, containerRestarting, noSuchExec, notRunning } from "../errors.ts";
import type { PendingAttach } from "./attach.ts";
import { Exec, type ExecContext, type ExecRequestOptions, startExec, superviseExec } from "./exec.ts";
import { type ExecFile, parseExecFile } from "./exec-file.ts";

/** The time for which an exec that has ended can still be inspected. Docker's time. */
const KEPT_MS = 5 * 60 * 1000;
/** The time for which a created exec can be started: nobody who still wants to waits for so long. */
const STARTABLE_MS = 60 * 60 * 1000;
/** The time for which an exec that has run can be inspected when its container has removed itself. */
const ASKED_FOR_MS = 10_000;
const FILE_NAME = "exec.json";

/**
 * All execs. Each has a directory from its creation to its end, with a file that says what it is: like its process, it is lost at
 * a reboot, and not with the daemon.
 */
export class Execs {
  readonly #context: ExecContext;
  readonly #byId = new Map<string, Exec>();

  constructor(context: ExecContext) {
    this.#context = context;
  }

  /** Creates an exec. `ref`: what the client called the container. */
  create(container: Container, options: ExecRequestOptions, ref: string = container.id): Exec {
    if (container.restarts.isWaiting) throw containerRestarting(container.id);
    if (!container.isRunning) throw notRunning(container.id);
    if (container.record.paused) throw containerPaused(ref);
    for (const exec of container.execs.values()) if (isStale(exec)) this.forget(exec);
    const exec = new Exec(randomId(), container, options);
    this.#write(exec);
    this.#register(exec);
    exec.publish("exec_create");
    return exec;
  }

  #register(exec: Exec): void {
    exec.container.execs.set(exec.id, exec);
    this.#byId.set(exec.id, exec);
  }

  /** Writes what the exec is; of a probe, whose result only this daemon waits for, there is a directory alone while it runs. */
  #write({ id, container, options, hasStarted }: Exec, isStarting = hasStarted): void {
    if (options.isProbe) return;
    const directory = this.#context.paths.execDirectory(id);
    const file: ExecFile = { id, containerId: container.id, options, hasStarted: isStarting };
    writePoint("write exec");
    mkdirSync(directory, { mode: 0o700, recursive: true });
    const path = join(directory, FILE_NAME);
    writeFileSync(`${path}.new`, JSON.stringify(file), { mode: 0o600 });
    renameSync(`${path}.new`, path);
    writePoint("wrote exec");
  }

  /** Finds an exec. @throws LighterError "not-found" */
  find(id: string): Exec {
    const exec = this.#byId.get(id);
    if (exec === undefined) throw noSuchExec(id);
    return exec;
  }

  /** Runs the exec, once. @throws LighterError like `startExec` */
  async start(
    exec: Exec,
    attach: PendingAttach | undefined,
    consoleSize: readonly number[] | undefined,
  ): Promise<void> {
    const { container, options } = exec;
    const note = () => this.#write(exec, true);
    const start = () => startExec(this.#context, exec, attach, { consoleSize, note });
    // Health checks would be most of all traces.
    if (options.isProbe) return await start();
    await inSpan("exec", (span) => {
      span?.set({ "container.id": container.id, "process.executable.name": options.Cmd[0] });
      return start();
    });
  }

  /** Sends a signal. @throws LighterError "invalid" for a signal that is none, "conflict" if it does not run */
  async kill(exec: Exec, signal: string | undefined): Promise<void> {
    const number = signal === undefined ? SIGNALS.KILL! : parseSignal(signal);
    if (number === undefined) throw new LighterError("invalid", `invalid signal: ${signal}`);
    await this.#supervisedOf(exec).signal(number);
  }

  /** Makes another connection to its streams. @throws LighterError "conflict" if it does not run */
  attach(exec: Exec, plan: AttachPlan): Promise<Socket> {
    return this.#supervisedOf(exec).attach(plan);
  }

  #supervisedOf(exec: Exec): Supervised {
    if (exec.isRunning && exec.supervised !== undefined) return exec.supervised;
    throw new LighterError("conflict", `exec ${exec.id} is not running`);
  }

  /** Forgets an exec, so that it cannot be inspected any more; its process goes on. */
  forget(exec: Exec): void {
    exec.container.execs.delete(exec.id);
    const { hasStarted, options, container } = exec;
    // Its container has removed itself, perhaps at this moment: a client that has seen the end of the stream asks for the code.
    if (hasStarted && !options.isProbe && container.record.hostConfig.AutoRemove)
      setTimeout(() => this.#byId.delete(exec.id), ASKED_FOR_MS).unref();
    else this.#byId.delete(exec.id);
    // The directory of an exec whose supervisor is still there goes with that.
    if (exec.supervised === undefined)
      rmSync(this.#context.paths.execDirectory(exec.id), { recursive: true, force: true });
  }

  /** Forgets the execs of an ended container that were never started: nothing is left that could start them. */
  forgetUnstarted(container: Container): void {
    for (const exec of container.execs.values()) if (!exec.hasStarted) this.forget(exec);
  }

  /** Forgets the execs of a container that has been started anew or removed. */
  forgetAll(container: Container): void {
    for (const exec of container.execs.values()) this.forget(exec);
  }

  /** Takes over the execs of an earlier daemon. `find` returns undefined for a container that does not exist. */
  async reconcile(find: (containerId: string) => Container | undefined): Promise<void> {
    const root = this.#context.paths.execDirectories;
    await Promise.all(readdirSync(root).map((name) => this.#reconcileOne(join(root, name), find)));
  }

  async #reconcileOne(directory: string, find: (containerId: string) => Container | undefined): Promise<void> {
    const file = readExecFile(join(directory, FILE_NAME));
    const container = file === undefined ? undefined : find(file.containerId);
    if (file === undefined || container === undefined || !container.isRunning || file.options.isProbe)
      return await this.#discard(directory);
    const exec = new Exec(file.id, container, file.options);
    exec.hasStarted = file.hasStarted;
    if (file.hasStarted) {
      const found = await this.#context.runtime.reconnect(directory);
      if (found === "lost") return await rm(directory, { recursive: true, force: true });
      if ("exited" in found) {
        exec.adopt(found);
        void superviseExec(this.#context, exec, found);
      } else {
        exec.ended(found.exitCode);
        await rm(directory, { recursive: true, force: true });
      }
    }
    this.#register(exec);
  }

  /** Removes the directory of an exec whose container does not run any more, or of a probe, whose result nobody waits for. */
  async #discard(directory: string): Promise<void> {
    const found = await this.#context.runtime.reconnect(directory).catch(() => "lost" as const);
    if (found !== "lost" && "exited" in found) {
      await found.signal(SIGNALS.KILL!);
      void found.gone.then(() => rm(directory, { recursive: true, force: true }));
    } else await rm(directory, { recursive: true, force: true });
  }
}

function isStale({ hasStarted, createdAtMs, endedAtMs }: Exec): boolean {
  return hasStarted ? endedAtMs < Date.now() - KEPT_MS : createdAtMs < Date.now() - STARTABLE_MS;
}

/** Reads the file; undefined if there is none, or if a daemon died over its first write. */
function readExecFile(path: string): ExecFile | undefined {
  try {
    const { size } = statSync(path);
    if (size > EXEC_FILE_MAX_BYTES) throw new LighterError("invalid", `"${path}" is too large`);
    return parseExecFile(readFileSync(path, "utf8"));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") log.error(`read "${path}": ${messageOf(error)}`);
    return undefined;
  }
}
