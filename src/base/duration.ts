/** Durations in Go's and Docker's notation. */
import { LighterError } from "./errors.ts";
import { goQuote } from "./go-escapes.ts";

/** A duration in Docker's words: "About a minute", "3 hours", … */
export function formatDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(ms / 60_000);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(ms / 3_600_000 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(ms / 3_600_000 / 24 / 365)} years`;
}

const UNITS_NS: Readonly<Record<string, bigint>> = {
  ...{ ns: 1n, us: 1_000n, µs: 1_000n, μs: 1_000n },
  ...{ ms: 1_000_000n, s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n },
};
const INT64_MAX = 2n ** 63n - 1n;
/** 2^63 has 19 digits, and no unit has more decimals than 13 that count. */
const DIGITS_MAX = 19;

/**
 * Parses "5s", "1h10m", "-1.5ms", "0" into nanoseconds, dropping finer parts, as Go's time.ParseDuration does.
 * @throws LighterError "invalid" with Go's text
 */
export function parseDuration(text: string): bigint {
  const result = readDuration(text);
  if (typeof result === "string") throw new LighterError("invalid", `time: ${result} duration ${goQuote(text)}`);
  return result;
}

/** Parses a duration as `parseDuration` does; undefined if it is malformed. */
export function parseDurationIf(text: string): bigint | undefined {
  const result = readDuration(text);
  return typeof result === "string" ? undefined : result;
}

/** The nanoseconds, or a text that says what is wrong. */
function readDuration(text: string): bigint | string {
  const [, sign, rest = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === "0") return 0n;
  if (rest === "") return "invalid";
  const part = /(\d*)(?:\.(\d*))?([^0-9.]*)/y;
  let total = 0n;
  while (part.lastIndex < rest.length) {
    const [, whole = "", fraction = "", name = ""] = part.exec(rest)!;
    if (whole + fraction === "") return "invalid";
    if (name === "") return "missing unit in";
    const unit = Object.hasOwn(UNITS_NS, name) ? UNITS_NS[name]! : undefined;
    if (unit === undefined) return `unknown unit ${goQuote(name)} in`;
    const digits = whole.replace(/^0+/, "");
    const decimals = fraction.slice(0, DIGITS_MAX);
    if (digits.length > DIGITS_MAX) return "invalid";
    total += BigInt(digits) * unit + (BigInt(decimals) * unit) / 10n ** BigInt(decimals.length);
    if (total > INT64_MAX + (sign === "-" ? 1n : 0n)) return "invalid";
  }
  return sign === "-" ? -total : total;
}
