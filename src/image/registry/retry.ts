/** Decides whether and when a failed request is repeated. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  REGISTRY_ATTEMPTS,
  REGISTRY_PAUSE_MAX_MS,
  REGISTRY_PAUSE_MS,
  REGISTRY_RETRY_AFTER_MAX_MS,
} from "../../base/limits.ts";
import { RegistryError } from "./registry-error.ts";
import { ConnectionError, type Timing } from "./transport.ts";

export interface RetryTiming extends Timing {
  attempts: number;
  /** The pause before the second attempt. */
  pauseMs: number;
}

/** Statuses that another attempt may change. 501 and 505 are permanent. */
const TRANSIENT_STATUSES = [408, 429, 500, 502, 503, 504];

/** Whether another attempt may succeed after this error. */
function isTransient(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.failure === "broken" || error.failure === "stalled";
  return (
    error instanceof RegistryError &&
    TRANSIENT_STATUSES.includes(error.status) &&
    (error.retryAfterMs ?? 0) <= REGISTRY_RETRY_AFTER_MAX_MS
  );
}

/** Whether another attempt may succeed with a server that was there a moment ago and may be restarting. */
export function isTransientOfKnown(error: unknown): boolean {
  const isAway = error instanceof ConnectionError && (error.failure === "refused" || error.failure === "lookup");
  return isAway || isTransient(error);
}

/** Counts attempts without progress and waits between them. */
export class Retries {
  readonly #attempts: number;
  readonly #pauseMs: number;
  #failures = 0;

  constructor(
    timing: Partial<RetryTiming> | undefined,
    readonly signal: AbortSignal | undefined,
    readonly mayPass: (error: unknown) => boolean = isTransient,
  ) {
    this.#attempts = timing?.attempts ?? REGISTRY_ATTEMPTS;
    this.#pauseMs = timing?.pauseMs ?? REGISTRY_PAUSE_MS;
  }

  /** Called when bytes have come: the next failure counts as a first one. */
  progress(): void {
    this.#failures = 0;
  }

  /** Settles when it is time to try again. @throws the error, if it is permanent or has come too often; the signal's reason. */
  async failed(error: unknown): Promise<void> {
    this.#failures++;
    if (!this.mayPass(error) || this.#failures >= this.#attempts) throw error;
    const { signal } = this;
    await sleep(this.#waitMs(error), undefined, signal === undefined ? {} : { signal }).catch((aborted: unknown) => {
      throw signal?.reason ?? aborted;
    });
  }

  /**
   * The pause: twice as long each time, and randomly between half of that and all, so that many clients do not come back at once.
   */
  #waitMs(error: unknown): number {
    const pause = Math.min(REGISTRY_PAUSE_MAX_MS, this.#pauseMs * 2 ** (this.#failures - 1));
    const wanted = error instanceof RegistryError ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(wanted, pause * (0.5 + Math.random() / 2));
  }
}

/** Runs `attempt` until it succeeds. */
export async function retrying<T>(
  timing: Partial<RetryTiming> | undefined,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const retries = new Retries(timing, signal);
  for (;;)
    try {
      return await attempt();
    } catch (error) {
      await retries.failed(error);
    }
}
