/** Times as Docker writes them: RFC 3339 in UTC with up to nine decimals of a second, trailing zeros left out. */

import { parseDurationIf } from "./duration.ts";

/** Go's zero time: "never". */
export const ZERO_TIME = "0001-01-01T00:00:00Z";

export const NS_PER_SECOND = 1_000_000_000n;
export const NS_PER_MS = 1_000_000n;

/** The real time in nanoseconds since 1970. Its clock counts milliseconds. */
export function nowNs(): bigint {
  return BigInt(Date.now()) * NS_PER_MS;
}

/** Does `formatRfc3339(nowNs())`, faster. */
export function formatNow(): string {
  return new Date().toISOString().replace(/\.?0*Z$/, "Z");
}

/** Formats nanoseconds since 1970, which must not be negative. */
export function formatRfc3339(ns: bigint): string {
  const decimals = (ns % NS_PER_SECOND).toString().padStart(9, "0").replace(/0+$/, "");
  const seconds = new Date(Number(ns / NS_PER_MS)).toISOString().slice(0, 19);
  return decimals === "" ? `${seconds}Z` : `${seconds}.${decimals}Z`;
}

/** Formats with all nine decimals, as `docker logs --timestamps` does: columns line up. */
export function formatRfc3339Fixed(ns: bigint): string {
  const seconds = new Date(Number(ns / NS_PER_MS)).toISOString().slice(0, 19);
  return `${seconds}.${(ns % NS_PER_SECOND).toString().padStart(9, "0")}Z`;
}

/** The milliseconds between two RFC 3339 times; 0 if one is malformed, or they are the wrong way round. */
export function msBetween(from: string, to: string): number {
  const [fromNs, toNs] = [parseRfc3339(from), parseRfc3339(to)];
  if (fromNs === undefined || toNs === undefined || toNs < fromNs) return 0;
  return Number((toNs - fromNs) / NS_PER_MS);
}

const RFC3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/;

/** Parses RFC 3339 into nanoseconds since 1970 (negative before it); undefined for anything else. */
export function parseRfc3339(text: string): bigint | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * NS_PER_MS + BigInt((match[2] ?? "").padEnd(9, "0"));
}

const DATE = /^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d{1,9})?))?)?)?(Z|[+-]\d\d:\d\d)?$/;

/**
 * Parses a time as filters and `--since` take it into nanoseconds since 1970: a duration before now, Unix time, or a date with
 * any part of a time of day. Without a zone it is UTC if `zoneless` is "Z", this machine's time if "". Undefined for anything
 * else.
 * Source: moby api/types/time/timestamp.go.
 */
export function parseTimeNs(text: string, nowMs: number, zoneless: "Z" | ""): bigint | undefined {
  const duration = text === "0" ? undefined : parseDurationIf(text);
  if (duration !== undefined) return BigInt(Math.trunc(nowMs)) * NS_PER_MS - duration;
  const [, date, hour = "00", minute = "00", second = "00", zone = zoneless] = DATE.exec(text) ?? [];
  if (date === undefined) return parseUnixTime(text);
  const [seconds, decimals = ""] = second.split(".");
  const ms = Date.parse(`${date}T${hour}:${minute}:${seconds}${zone}`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * NS_PER_MS + BigInt(decimals.padEnd(9, "0"));
}

/** Parses "seconds[.decimals]" since 1970, the API's `since` and `until`, into nanoseconds; undefined for anything else. */
export function parseUnixTime(text: string): bigint | undefined {
  const match = /^(\d{1,12})(?:\.(\d{1,9})\d*)?$/.exec(text);
  if (match === null) return undefined;
  return BigInt(match[1]!) * NS_PER_SECOND + BigInt((match[2] ?? "").padEnd(9, "0"));
}
