/** Signals, stops and restarts a container's process; the engine records its end by itself. */

import { LighterError } from "../../base/errors.ts";
import { parseSignal, SIGNALS } from "../../base/signals.ts";
import { settlesWithin } from "../../base/timer.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { notRunning } from "../errors.ts";
import { startContainer } from "../life/run.ts";
import { shutDownByCommand, signalOfInit } from "./machine-init.ts";
import { thawPaused } from "./pause.ts";

/** The default of Docker. */
const STOP_TIMEOUT_SECONDS = 10;

/** Sends a signal. SIGKILL also waits for the end, as Docker does. @throws LighterError "invalid", "conflict" */
export async function killContainer(engine: Engine, container: Container, signal: string | undefined): Promise<void> {
  const number = parseSignalOr(signal, SIGNALS.KILL!);
  if (!container.isActive) throw notRunning(container.id);
  const { sent, ended } = await signalByHand(engine, container, number);
  if (number === SIGNALS.KILL || !sent) await ended;
}

interface Signalled {
  /** False if there was no process any more, or none yet. */
  sent: boolean;
  /** Resolves when the process has ended. */
  ended: Promise<unknown>;
}

/**
 * Sends a user's signal. As with Docker it ends what the restart policy does: any signal, unless the container names a stop
 * signal; then that one, and SIGKILL.
 * @param isShutdown true if it may be said in another way
 */
async function signalByHand(
  engine: Engine,
  container: Container,
  number: number,
  isShutdown = false,
): Promise<Signalled> {
  const { StopSignal } = container.record.config;
  const stopSignal = StopSignal ? parseSignal(StopSignal) : signalOfInit(container);
  const isLast = stopSignal === undefined || number === stopSignal || number === SIGNALS.KILL;
  await container.queue.run(() => {
    if (!container.record.manuallyStopped) container.changeOrLater({ manuallyStopped: true });
    if (!isLast) return;
    container.restarts.isCancelled = true;
    if (container.restarts.cancel()) container.notifyExit();
  });
  const { supervised } = container;
  if (!container.isRunning || supervised === undefined) return { sent: false, ended: Promise.resolve() };
  const ended = container.wait("not-running");
  container.publish("kill", { signal: String(number) });
  const signal = () => supervised.signal(number);
  const sent = (isShutdown && (await shutDownByCommand(engine.execs, container, signal))) || (await signal());
  if (isLast) await thawPaused(container); // only then the signal arrives
  return { sent, ended };
}

/** Sends SIGKILL; resolves when the process has ended. Its restart policy will not start it. */
export async function killForGood(engine: Engine, container: Container): Promise<void> {
  if (container.isActive) await (await signalByHand(engine, container, SIGNALS.KILL!)).ended;
}

export interface StopOptions {
  signal?: string | undefined;
  /** The time to wait; negative: for ever. */
  timeoutSeconds?: number | undefined;
}

/**
 * Sends the container's stop signal, then SIGKILL if it has not ended in time. Returns false if it does not run. Both default to
 * what the container was created with. @throws LighterError "invalid"
 */
export async function stopContainer(engine: Engine, container: Container, options: StopOptions): Promise<boolean> {
  const { config } = container.record;
  const named = options.signal || config.StopSignal || undefined;
  const signal = parseSignalOr(named, signalOfInit(container) ?? SIGNALS.TERM!);
  const timeoutSeconds = options.timeoutSeconds ?? config.StopTimeout ?? STOP_TIMEOUT_SECONDS;
  if (!container.isActive) return false;
  const { ended } = await signalByHand(engine, container, signal, named === undefined);
  if (timeoutSeconds >= 0 && !(await settlesWithin(ended, timeoutSeconds * 1000))) await killForGood(engine, container);
  await ended;
  container.publish("stop");
  return true;
}

/** Stops a container and starts it. @throws LighterError like `stopContainer` and `startContainer` */
export async function restartContainer(engine: Engine, container: Container, options: StopOptions): Promise<void> {
  container.isBeingRestarted = true;
  try {
    await stopContainer(engine, container, options);
    await startContainer(engine, container);
  } finally {
    container.isBeingRestarted = false;
  }
  container.publish("restart");
}

/** Changes the size of the terminal. @throws LighterError "conflict" if it does not run */
export async function resizeContainer(container: Container, rows: number, columns: number): Promise<void> {
  if (!container.isRunning || container.supervised === undefined) throw notRunning(container.id);
  await container.supervised.resize(rows, columns);
  container.publish("resize", { height: String(rows), width: String(columns) });
}
function parseSignalOr(text: string | undefined, fallback: number): number {
  if (text === undefined || text === "") return fallback;
  const number = parseSignal(text);
  if (number === undefined && /^-?0*[1-9]\d*$/.test(text))
    throw new LighterError("invalid", `the linux daemon does not support signal ${Number(text)}`);
  if (number === undefined) throw new LighterError("invalid", `invalid signal: ${text}`);
  return number;
}
