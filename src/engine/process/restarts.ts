/** Restart policies: whether a container whose process has ended is started again, and when. */
import type { DockerHostConfig } from "../../spec/docker-api.ts";

export type RestartPolicy = NonNullable<DockerHostConfig["RestartPolicy"]>;

interface EndOfRun {
  exitCode: number;
  manuallyStopped: boolean;
  /** How often the policy has started it since somebody did. */
  restartCount: number;
}

/** What the policy says of a container that has just ended. */
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
 * What the policy says of a container that is found not running by a daemon that has just begun. Docker's rules, but for
 * "on-failure" of one that was stopped by hand: its manual has it stay as it is, and so do we.
 */
export function wantsStartAtBoot(policy: RestartPolicy | null | undefined, end: EndOfRun): boolean {
  return wantsRestart(policy, end) && !(policy?.Name === "on-failure" && end.manuallyStopped);
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 60_000;
/** A machine that reboots sooner is not started at once: it may do so for ever. */
const REBOOT_LOOP_MS = 1000;
/** A run of this length begins the count anew. */
const GOOD_RUN_MS = 10_000;

/** Twice the last, from 100 ms to a minute. Docker's numbers. `lastMs` is 0 before the first. */
export function nextDelayMs(lastMs: number, ranMs: number): number {
  if (lastMs === 0 || ranMs >= GOOD_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(lastMs * 2, MAX_DELAY_MS);
}

/** One container's restarts in this daemon's life. */
export class Restarts {
  #delayMs = 0;
  #timer: Timer | undefined;
  #start: (() => void) | undefined;
  /** Somebody wants the container ended: the next end is the last, whatever the policy. */
  isCancelled = false;

  /** From the end of a run until the next one has begun. */
  get isWaiting(): boolean {
    return this.#start !== undefined;
  }

  /** `start` is called when the time has come, and calls `started` or `cancel` in turn. */
  schedule(ranMs: number, start: () => void, isReboot = false): void {
    this.#delayMs = isReboot && ranMs >= REBOOT_LOOP_MS ? 0 : nextDelayMs(this.#delayMs, ranMs);
    this.#start = start;
    this.#timer = setTimeout(start, this.#delayMs);
  }

  started(): void {
    this.#start = undefined;
  }

  /** False: it was not waiting. */
  cancel(): boolean {
    const wasWaiting = this.isWaiting;
    clearTimeout(this.#timer);
    this.#start = undefined;
    return wasWaiting;
  }

  /** Before a start by hand. */
  reset(): void {
    this.cancel();
    this.#delayMs = 0;
    this.isCancelled = false;
  }
}
