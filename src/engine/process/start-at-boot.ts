/** Starts containers when a daemon begins. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { ZERO_TIME } from "../../base/time.ts";
import { settlesWithin } from "../../base/timer.ts";
import { type Ending, endingOf } from "../../machine/mod.ts";
import { isMachine } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { startContainer } from "../life/run.ts";
import type { ContainerRecord } from "../state/record.ts";
import { groupsAtBoot } from "./boot-order.ts";
import { untilRunning } from "./machine-state.ts";
import { wantsStartAtBoot } from "./restarts.ts";

/** The first of the exit codes of processes that a signal has ended. */
const SIGNAL_EXIT = 128;

/**
 * Starts the containers that should run by their restart policy and do not: after a reboot, or the death of a daemon over a
 * restart.
 */
export function startAtBoot(engine: Engine): void {
  const aborter = new AbortController();
  engine.use({ [Symbol.dispose]: () => aborter.abort() });
  engine.inBackground("start containers", startInOrder(engine, aborter.signal));
}

/** The longest that a container waits for the machines that it starts after. */
const NEEDED_MAX_MS = 120_000;

async function startInOrder(engine: Engine, signal: AbortSignal): Promise<void> {
  const groups = groupsAtBoot(engine.list().reverse().filter(isWanted));
  const needed = new Set(groups.flatMap((group) => group.flatMap(({ after }) => after)));
  for (const group of groups) {
    await Promise.all(group.map(({ container }) => startOne(engine, container)));
    if (group === groups.at(-1) || signal.aborted) return;
    const awaited = group.filter(({ container }) => container.isActive && needed.has(container.record.name));
    const up = awaited.map(({ container }) => untilRunning(container, engine.events, signal));
    const delayMs = Math.max(...group.map(({ delayS }) => delayS)) * 1000;
    await Promise.all([
      settlesWithin(Promise.all(up), NEEDED_MAX_MS).catch(() => {}), // the engine is disposed of
      pause(delayMs, signal),
    ]);
  }
}

/** Resolves after a time, or at once when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve());
  return promise.finally(() => clearTimeout(timer));
}

function isWanted({ isActive, record }: Container): boolean {
  if (isActive || record.startedAt === ZERO_TIME) return false;
  const ending = endingInRow(record);
  if (ending === "poweroff" && record.manuallyStopped) return false;
  if (ending === "reboot" && !record.manuallyStopped) return true;
  return wantsStartAtBoot(record.hostConfig.RestartPolicy, record);
}

/** Tells how a machine ended: off stays off, and a reboot over which a daemon died goes on. */
function endingInRow({ hostConfig, exitCode }: ContainerRecord): Ending | undefined {
  return isMachine(hostConfig) ? endingOf(exitCode - SIGNAL_EXIT) : undefined;
}

async function startOne(engine: Engine, container: Container): Promise<void> {
  try {
    await startContainer(engine, container);
  } catch (error) {
    log.error(`start container ${container.id}: ${messageOf(error)}`);
  }
}
