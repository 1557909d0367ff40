import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";

/** What a container has works without; the failure is for the log. */
export function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    log.error(`${what}: ${messageOf(error)}`);
  }
}
