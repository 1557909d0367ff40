/** What is done to a container's process: the engine records its end by itself. */
import { LighterError } from "../base/errors.ts";
import { parseSignal, SIGNALS } from "../base/signals.ts";
import type { Container } from "./container.ts";
import type { Engine } from "./engine.ts";
import { notRunning, withContext } from "./errors.ts";

/** Docker's default. */
const STOP_TIMEOUT_SECONDS = 10;

/** Sends a signal. SIGKILL also waits for the end, as Docker does. @throws LighterError "invalid", "conflict" */
export async function kill(container: Container, ref: string, signal: string | undefined): Promise<void> {
  const context = `cannot kill container: ${ref}`;
  const number = parseSignalOr(signal, SIGNALS.KILL!, context);
  const { supervised } = container;
  if (!container.isRunning || supervised === undefined) throw withContext(context, notRunning(container.id));
  const isAlive = await supervised.signal(number);
  if (number === SIGNALS.KILL || !isAlive) await container.wait("not-running");
}

export interface StopOptions {
  signal?: string | undefined;
  /** Negative: for ever. */
  timeoutSeconds?: number | undefined;
}

/**
 * The container's stop signal, then SIGKILL if it has not ended in time. False: it does not run.
 * Both default to what the container was created with. @throws LighterError "invalid"
 */
export async function stop(container: Container, options: StopOptions): Promise<boolean> {
  const { config } = container.record;
  const signal = parseSignalOr(options.signal || config.StopSignal || undefined, SIGNALS.TERM!, "cannot stop");
  const timeoutSeconds = options.timeoutSeconds ?? config.StopTimeout ?? STOP_TIMEOUT_SECONDS;
  const { supervised } = container;
  if (!container.isRunning || supervised === undefined) return false;
  const ended = container.wait("not-running");
  await supervised.signal(signal);
  if (timeoutSeconds >= 0 && !(await settlesWithin(ended, timeoutSeconds * 1000)))
    await supervised.signal(SIGNALS.KILL!);
  await ended;
  return true;
}

/** @throws LighterError like `stop` and `Engine.start` */
export async function restart(engine: Engine, container: Container, options: StopOptions): Promise<void> {
  container.isRestarting = true;
  try {
    await stop(container, options);
    await engine.start(container);
  } finally {
    container.isRestarting = false;
  }
}

/** @throws LighterError "conflict" if it does not run */
export async function resize(container: Container, rows: number, columns: number): Promise<void> {
  if (!container.isRunning || container.supervised === undefined) throw notRunning(container.id);
  await container.supervised.resize(rows, columns);
}

function parseSignalOr(text: string | undefined, fallback: number, context: string): number {
  if (text === undefined || text === "") return fallback;
  const number = parseSignal(text);
  if (number === undefined) throw new LighterError("invalid", `${context}: invalid signal: ${text}`);
  return number;
}

/** setTimeout takes no more: 24 days. */
const TIMER_MAX_MS = 2 ** 31 - 1;

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), Math.min(ms, TIMER_MAX_MS));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
