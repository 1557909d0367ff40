/** How far a part of a step is, in words. */
import type { VertexStatus } from "../../spec/solve-status.ts";
import { formatSize } from "../format/units.ts";
import { secondsBetween } from "./solve-state.ts";

const SHOWN_SECONDS = 0.1;

/** Formats "transferring context: 3.05kB 0.2s done"; `hasTime` adds the time, and whether the part is done. */
export function partText({ id, current, total, started, completed }: VertexStatus, hasTime = true): string {
  const sum = total === undefined || total === 0 ? "" : ` / ${formatSize(total)}`;
  const size = current === 0 && sum === "" ? "" : ` ${formatSize(current)}${sum}`;
  if (!hasTime) return `${id}${size}`;
  const seconds = secondsBetween(started, completed);
  const time = seconds >= SHOWN_SECONDS ? ` ${seconds.toFixed(1)}s` : "";
  return `${id}${size}${time}${completed === undefined ? "" : " done"}`;
}
