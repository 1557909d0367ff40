/** The sort of a failure. Callers branch on this and on `errno`, never on the text. */
export type ErrorCode =
  | "invalid"
  | "not-found"
  | "conflict"
  /** The thing asked for does not allow it, however one asks. */
  | "forbidden"
  | "not-supported"
  | "unavailable"
  /** A client has not sent what it announced. */
  | "timed-out"
  | "kernel"
  | "internal"
  /** A registry refuses our credentials. */
  | "unauthorized"
  /** The entrypoint does not exist, or is in no directory of PATH: exit 127. */
  | "exec-not-found"
  /** The entrypoint exists but cannot be executed: exit 126. */
  | "exec-denied";

export interface ErrorDetail {
  errno?: string;
  opIndex?: number;
  hint?: string;
  cause?: unknown;
}

/**
 * A failure that is no bug of ours; broken assumptions are for `assert`.
 * Message: what we were doing, to what, what the kernel said; lower case, no full stop, names quoted.
 */
export class LighterError extends Error {
  override readonly name = "LighterError";
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly detail: ErrorDetail = {},
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
  }
}

/** The text of anything thrown, for a log line or an API message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node-style system error ("ENOENT"), or "" for anything else. */
export function errnoOf(error: unknown): string {
  if (error instanceof LighterError) return error.detail.errno ?? "";
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "string")
    return error.code === "ENOTSUP" ? "EOPNOTSUPP" : error.code; // libuv's name for the same number
  return "";
}

/** The errors of a full disk. SQLite reports a used-up quota, among others, by the last one. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL", "SQLITE_IOERR_WRITE"]);

export function isDiskFull(error: unknown): boolean {
  return FULL.has(errnoOf(error));
}
