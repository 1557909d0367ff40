/** Times as the stock client reads and shows them. */
import { parseTimeNs } from "../../base/time.ts";

/**
 * Converts `--since` and `--until` to "seconds.nanoseconds" of Unix time: a duration before now, a date with or without
 * time and zone (the local one by default), or Unix time already.
 * @throws Error
 */
export function parseTimestamp(text: string, nowMs: number): string {
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const ns = parseTimeNs(text, nowMs, "");
  if (ns === undefined) throw new Error(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return formatUnixNs(ns);
}

function formatUnixNs(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}`;
}

/** Formats as Go's Time.String() does, without a fraction and in the local zone: "2026-11-24 00:04:26 +0000 UTC". */
export function formatLocalTime(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const zone = `${sign}${two(Math.trunc(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone} ${zoneName(date)}`;
}

/** Formats RFC 3339 in the local zone: "2026-11-24T00:04:26Z". */
export function formatRfc3339(unixSeconds: number): string {
  const [day, clock, zone = ""] = formatLocalTime(unixSeconds).split(" ");
  return `${day}T${clock}${zone === "+0000" ? "Z" : `${zone.slice(0, 3)}:${zone.slice(3)}`}`;
}

/** Returns the zone's abbreviation ("UTC", "CEST"), or its offset if it has none. */
function zoneName(date: Date): string {
  const name = / \(([^)]*)\)$/.exec(date.toString())?.[1] ?? "";
  if (name === "" || name === "Coordinated Universal Time") return "UTC";
  return name.replace(/[^A-Z]/g, "") || name;
}

/** Formats RFC 3339 in the local zone with nine digits of a second, from nanoseconds since 1970. */
export function formatRfc3339Nano(nanoseconds: bigint): string {
  const text = formatRfc3339(Number(nanoseconds / 1_000_000_000n));
  return `${text.slice(0, 19)}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}${text.slice(19)}`;
}

/**
 * Formats an RFC 3339 text of the API as Go's Time.String() does: the text's zone is kept, the fraction loses its
 * zeros. Any other text is returned unchanged.
 */
export function formatTimestamp(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:(Z)|([+-]\d\d):(\d\d))$/.exec(text);
  if (match === null) return text;
  const [, day, clock, fraction = "", utc, hours, minutes] = match;
  const digits = fraction.replace(/0+$/, "");
  const zone = utc === "Z" ? "+0000 UTC" : `${hours}${minutes} ${hours}${minutes}`;
  return `${day} ${clock}${digits === "" ? "" : `.${digits}`} ${zone}`;
}
