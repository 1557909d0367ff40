import { errnoOf } from "./errors.ts";

/** The last is SQLite's for a quota that is used up, among others. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL", "SQLITE_IOERR_WRITE"]);

export function isDiskFull(error: unknown): boolean {
  return FULL.has(errnoOf(error));
}
