/** Actions whose failure is logged and stops nothing. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";

/** Runs an action that a container can do without; a failure goes to the log. */
export function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    logFailure(what, error);
  }
}

/** Does the same for an action that takes several turns. */
export async function attemptInTurns(what: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    logFailure(what, error);
  }
}

export function logFailure(what: string, error: unknown): void {
  log.error(`${what}: ${messageOf(error)}`);
}
