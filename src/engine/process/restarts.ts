/** Restart policies: whether and when a container whose process has ended is started anew. */
import type { DockerHostConfig } from "../../spec/docker-api.ts";

export type RestartPolicy = NonNullable<DockerHostConfig["RestartPolicy"]>;

interface EndOfRun {
  exitCode: number;
  manuallyStopped: boolean;
  /** The number of starts by the policy since somebody started it. */
  restartCount: number;
}

/** Tells whether the policy restarts a container that has just ended. */
export function wantsRestart(policy: RestartPolicy | null | undefined, end: EndOfRun): boolean {
  switch (policy?.Name) {
    case "always":
      return true;
    case "unless-stopped":
      return !end.manuallyStopped;
    case "on-failure": {
      const max = policy.MaximumRetryCount ?? 0;
      return end.exitCode !== 0 && (max === 0 || end.restartCount < max);
    }
    default:
      return false;
  }
}

/**
 * Tells whether the policy starts a container that a new daemon finds not running. Docker's rules, except for "on-failure" of a
 * container that was stopped by hand: its manual has it stay as it is, and so do we.
 */
export function wantsStartAtBoot(policy: RestartPolicy | null | undefined, end: EndOfRun): boolean {
  return wantsRestart(policy, end) && !(policy?.Name === "on-failure" && end.manuallyStopped);
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 60_000;
/** The shortest run of a machine that is started at once after a reboot: one that reboots sooner may do so for ever. */
const REBOOT_LOOP_MS = 1000;
/** The length of a run that begins the count anew. */
const GOOD_RUN_MS = 10_000;

/** Returns the next delay: twice the last, from 100 ms to a minute. Docker's numbers. `lastMs` is 0 before the first. */
export function nextDelayMs(lastMs: number, ranMs: number): number {
  if (lastMs === 0 || ranMs >= GOOD_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(lastMs * 2, MAX_DELAY_MS);
}

/** The restarts of one container in this daemon's life. */
export class Restarts {
  #delayMs = 0;
  #timer: Timer | undefined;
  #start: (() => void) | undefined;
  /** True if somebody wants the container ended: the next end is the last, whatever the policy. */
  isCancelled = false;
  /** True if it is the host that ends: a machine that powers off for that is to come back with it. */
  endsWithHost = false;

  /** True from the end of a run until the next one has begun. */
  get isWaiting(): boolean {
    return this.#start !== undefined;
  }

  /** Schedules a start. `start` is called when the time has come, and calls `started` or `cancel` in turn. */
  schedule(ranMs: number, start: () => void, isReboot = false): void {
    this.#delayMs = isReboot && ranMs >= REBOOT_LOOP_MS ? 0 : nextDelayMs(this.#delayMs, ranMs);
    this.#start = start;
    this.#timer = setTimeout(start, this.#delayMs);
  }

  started(): void {
    this.#start = undefined;
  }

  /** Cancels a start; returns false if none was waiting. */
  cancel(): boolean {
    const wasWaiting = this.isWaiting;
    clearTimeout(this.#timer);
    this.#start = undefined;
    return wasWaiting;
  }

  /** Forgets the past, before a start by hand. */
  reset(): void {
    this.cancel();
    this.#delayMs = 0;
    this.isCancelled = false;
    this.endsWithHost = false;
  }
}
