/** Recognises the errors of a full disk. */
import { errnoOf } from "./errors.ts";

/** The errors of a full disk. SQLite reports a used-up quota, among others, by the last one. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL", "SQLITE_IOERR_WRITE"]);

export function isDiskFull(error: unknown): boolean {
  return FULL.has(errnoOf(error));
}
