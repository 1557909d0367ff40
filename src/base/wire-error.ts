/** Failures as JSON, for one process of ours to tell another. */
import { type ErrorCode, errnoOf, LighterError, messageOf } from "./errors.ts";

export interface WireError {
  code: ErrorCode;
  message: string;
  errno?: string;
  hint?: string;
}

export function encodeError({ code, message, detail: { errno, hint } }: LighterError): WireError {
  return { code, message, ...(errno === undefined ? {} : { errno }), ...(hint === undefined ? {} : { hint }) };
}

/** The codes with which an operation of a helper process may end. */
const CODES: readonly unknown[] = [
  "invalid",
  "not-found",
  "conflict",
  "not-supported",
  "unavailable",
  "unauthorized",
  "kernel",
  "internal",
] satisfies ErrorCode[];

/** Decodes a failure; undefined for what `encodeError` does not make. */
export function decodeError(value: unknown): LighterError | undefined {
  const { code, message, errno, hint } = (value ?? {}) as Record<string, unknown>;
  if (typeof message !== "string" || !CODES.includes(code)) return undefined;
  return new LighterError(code as ErrorCode, message, {
    ...(typeof errno === "string" ? { errno } : {}),
    ...(typeof hint === "string" ? { hint } : {}),
  });
}

/** Turns anything thrown into a LighterError. If it is no failure it is a bug, which is reported on stderr. */
export function asLighterError(error: unknown): LighterError {
  if (error instanceof LighterError) return error;
  const errno = errnoOf(error);
  if (errno === "") console.error("lighter: bug:", error);
  return new LighterError(errno === "" ? "internal" : "kernel", messageOf(error), errno === "" ? {} : { errno });
}
