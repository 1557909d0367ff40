/** Tells how far machines are, by their inits' own words: nobody asks them. */
import { readlinkSync } from "node:fs";
import { formatNow, msBetween } from "../../base/time.ts";
import { type MachineEnd, type MachineState, parseMachineState } from "../../machine/mod.ts";
import { isMachine } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { EventBus } from "../events.ts";

/** The number of targets of one run that events tell of: an init must not fill the bus. */
const TOLD_TARGETS_MAX = 256;

/** The time from a machine's start until it was running, of those that this daemon has watched all the while. */
const bootMsOf = new WeakMap<object, number>();

/** The state of a machine that runs; undefined for one that does not, and for other containers. */
export function machineStateOf({
  record,
  supervised,
  restarts,
}: Container): (MachineState & { bootMs?: number }) | undefined {
  if (!isMachine(record.hostConfig) || record.status !== "running") return undefined;
  if (supervised?.pid !== record.pid) return undefined; // of its last run: this one has just begun
  const bootMs = bootMsOf.get(supervised);
  const state = {
    ...parseMachineState(supervised.notified, executableOf(record.pid)),
    ...(bootMs === undefined ? {} : { bootMs }),
  };
  return restarts.isCancelled ? { ...state, status: "stopping" } : state;
}

/** Why a machine that does not run has ended; undefined if it has not run, and for other containers. */
export function machineEndOf({ record }: Container): MachineEnd | undefined {
  return record.status === "exited" ? record.machineEnd : undefined;
}

function executableOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return ""; // it has ended meanwhile
  }
}

/** Publishes how far a machine is, now and whenever its init says something new, until it ends. */
export function watchMachine(container: Container): void {
  const { supervised } = container;
  if (supervised === undefined || !isMachine(container.record.hostConfig)) return;
  let told = "";
  const toldTargets = new Set<string>();
  const tell = () => {
    const state = container.supervised === supervised ? machineStateOf(container) : undefined;
    if (state === undefined) return;
    for (const target of state.targets) {
      if (toldTargets.has(target) || toldTargets.size === TOLD_TARGETS_MAX) continue;
      toldTargets.add(target);
      container.publish(`machine_target: ${target}`);
    }
    if (told === "starting" && state.status === "running")
      bootMsOf.set(supervised, msBetween(container.record.startedAt, formatNow()));
    if (state.status !== told) container.publish(`machine_status: ${state.status}`);
    told = state.status;
  };
  supervised.onNotified(tell);
  tell();
}

/**
 * Resolves when a container runs, and a machine's init says that it is up: with undefined, or with the exit code if it ends
 * before that.
 */
export async function untilRunning(
  container: Container,
  events: EventBus,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const machine = isMachine(container.record.hostConfig);
  const up = machine ? "machine_status: running" : "start";
  using _ = events.listen(({ type, id, action }) => {
    if (type === "container" && id === container.id && action === up) resolve();
  });
  if (machine ? machineStateOf(container)?.status === "running" : container.isRunning) return undefined;
  const ended = container.wait(container.isActive ? "not-running" : "next-exit", signal);
  return await Promise.race([promise.then(() => undefined), ended]);
}
