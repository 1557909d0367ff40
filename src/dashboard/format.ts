/** Numbers and times as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return "–";
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function formatRate(bytes: number): string {
  return `${formatBytes(bytes)}/s`;
}

export function formatPercent(percent: number): string {
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toFixed(1)} %`;
}

const STEPS: readonly [seconds: number, name: string][] = [
  [60, "second"],
  [3600, "minute"],
  [86_400, "hour"],
  [86_400 * 30, "day"],
  [86_400 * 365, "month"],
  [Number.POSITIVE_INFINITY, "year"],
];

/** "3 minutes": the largest unit alone. */
export function formatAge(seconds: number): string {
  let unit = 1;
  for (const [end, name] of STEPS) {
    if (seconds < end) {
      const count = Math.max(0, Math.floor(seconds / unit));
      return `${count} ${name}${count === 1 ? "" : "s"}`;
    }
    unit = end;
  }
  return "";
}

/** A duration as "0.3 s", "12 s", "3 min 20 s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Docker's words for how long something has lasted, short enough for a column: "Up 3 minutes" as "Up 3 min". */
export function shortly(status: string): string {
  return status
    .replace(/Less than a second/, "0 s")
    .replace(/(?:About )?an? (minute|hour)/i, "1 $1")
    .replace(/(\d+) (second|minute|hour|day|week|month|year)s?\b/, (_, count, unit) => `${count} ${SHORT_UNITS[unit]}`);
}

const SHORT_UNITS: Readonly<Record<string, string>> = {
  ...{ second: "s", minute: "min", hour: "h", day: "d", week: "wk", month: "mo", year: "yr" },
};

export function formatClock(atMs: number): string {
  return new Date(atMs).toLocaleTimeString(undefined, { hour12: false });
}

/** "sha256:0123456789ab…" as "0123456789ab". */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

/** Outside text for a line: no control characters, which could turn around what stands beside it, and not endless. */
export function plain(text: string, max = 200): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\u00b7");
  return clean.length > max ? `${clean.slice(0, max - 1)}…` : clean;
}
