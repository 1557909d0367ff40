/** JSON without loss of 64-bit integers. */
import { LighterError } from "../base/errors.ts";

/**
 * Parses as JSON.parse does, but integers that a double cannot hold become bigints: the standards have 64-bit fields. Hardly any
 * document has one; those without a run of 16 digits are parsed at full speed.
 * @throws LighterError ("invalid") beginning with `what`.
 */
export function parseExactJson(json: string, what: string): unknown {
  try {
    return /\d{16}/.test(json) ? JSON.parse(json, keepInteger) : JSON.parse(json);
  } catch (cause) {
    // RangeError: it nests deeper than the stack allows.
    if (cause instanceof SyntaxError || cause instanceof RangeError)
      throw new LighterError("invalid", `${what}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** The lib types lack the third argument (ECMAScript 2026, JSON.parse source text access). */
function keepInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  const inexact = typeof value === "number" && !Number.isSafeInteger(value);
  return inexact && /^-?\d{16,}$/.test(context?.source ?? "") ? BigInt(context!.source!) : value;
}

// The lib types lack JSON.rawJSON (ECMAScript 2026), too.
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** A value that JSON.stringify writes as the exact 64-bit integer. */
export function jsonInteger(value: number | bigint): unknown {
  return typeof value === "bigint" ? rawJSON(`${value}`) : value;
}

/** Formats a value of `parseExactJson`: bigints are written as integers. */
export function formatJson(value: unknown, indent?: number | string): string {
  return JSON.stringify(
    value,
    (_key, field: unknown) => (typeof field === "bigint" ? jsonInteger(field) : field),
    indent,
  );
}
