import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";

/** What a container has works without; the failure is for the log. */
export function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    logFailed(what, error);
  }
}

/** The same for what takes several turns. */
export async function attemptInTurns(what: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    logFailed(what, error);
  }
}

function logFailed(what: string, error: unknown): void {
  log.error(`${what}: ${messageOf(error)}`);
}
