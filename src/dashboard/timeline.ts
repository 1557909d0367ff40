/** Events as a picture: a lane for each thing, with the times in which it ran and what happened to it. */
import type { PageEvent } from "../spec/dashboard.ts";

interface Lane {
  id: string;
  type: string;
  name: string;
  /** The times in which it ran; from or until undefined if that is outside of what is known. */
  spans: { from: number | undefined; until: number | undefined }[];
  marks: { at: number; action: string; kind: "good" | "bad" | "plain" }[];
}

/** What begins and ends a time in which something runs. */
const BEGINS = new Set(["start", "started"]);
const ENDS = new Set(["die", "ended"]);

function kindOf({ action, attributes }: PageEvent): Lane["marks"][number]["kind"] {
  if (action === "oom" || action === "health_status: unhealthy" || attributes.error !== undefined) return "bad";
  if (action === "die") return (attributes.exitCode ?? "0") === "0" ? "plain" : "bad";
  return BEGINS.has(action) || action === "health_status: healthy" ? "good" : "plain";
}

/** The lanes of the events, which are in the order of their times: what something has happened to last comes first. */
export function lanesOf(events: readonly PageEvent[]): Lane[] {
  const lanes = new Map<string, Lane>();
  for (const event of events) {
    const { id, type, action, at, attributes } = event;
    const key = `${type} ${id}`;
    const lane = lanes.get(key) ?? { id, type, name: "", spans: [], marks: [] };
    lanes.delete(key);
    lanes.set(key, lane); // the last one now
    lane.name = attributes.name ?? (lane.name || id);
    lane.marks.push({ at, action, kind: kindOf(event) });
    const open = lane.spans.find(({ until }) => until === undefined);
    if (BEGINS.has(action) && open === undefined) lane.spans.push({ from: at, until: undefined });
    else if (ENDS.has(action) && open !== undefined) open.until = at;
    else if (ENDS.has(action) && lane.spans.length === 0) lane.spans.push({ from: undefined, until: at });
  }
  return [...lanes.values()].reverse();
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];
const TICKS_MAX = 6;

/** Round times between two, a handful of them. */
export function ticksBetween(from: number, until: number): number[] {
  const step = 1000 * (STEPS_S.find((seconds) => (until - from) / (seconds * 1000) <= TICKS_MAX) ?? 7 * 86_400);
  const ticks: number[] = [];
  for (let at = Math.ceil(from / step) * step; at < until && ticks.length <= TICKS_MAX; at += step) ticks.push(at);
  return ticks;
}
