/** Shows a trace as a waterfall: what was done, as a part of what, when and for how long. */
import type { TraceSpan } from "../../spec/trace.ts";
import { escapeControls } from "../format/harmless.ts";
import { cutEnd, formatNs, type PageOptions, pageColumns, styled } from "../format/look.ts";

const NAME_COLUMNS = 36;
const TIME_COLUMNS = 11;
/** Eighths of a column, from the left; and from the right, which has only these. */
const BLOCKS = " ▏▎▍▌▋▊▉█";
const START = "start";

interface Row {
  span: TraceSpan;
  depth: number;
}

/**
 * The trace up to the end of its start: a request that follows the container lasts longer, which a "…" says. Without a start, all of it.
 */
export function waterfall(spans: readonly TraceSpan[], options: PageOptions): string {
  if (spans.length === 0) return "Nothing was traced.\n";
  const beganMs = Math.min(...spans.map((span) => span.beganMs));
  const starts = spans.filter(({ name }) => name === START);
  const endedMs = Math.max(...(starts.length > 0 ? starts : spans).map((span) => span.endedMs));
  const wholeMs = Math.max(endedMs - beganMs, 0.001);
  const barColumns = pageColumns(options.columns) - NAME_COLUMNS - TIME_COLUMNS;
  const lines = rowsOf(spans)
    .filter(({ span }) => span.beganMs < endedMs)
    .map(({ span, depth }) => {
      const name = `${"  ".repeat(depth)}${labelOf(span)}`;
      const goesOn = span.endedMs > endedMs;
      const tookMs = (goesOn ? endedMs : span.endedMs) - span.beganMs;
      const bar = barOf((span.beganMs - beganMs) / wholeMs, tookMs / wholeMs, barColumns);
      return [
        cutEnd(name, NAME_COLUMNS - 2).padEnd(NAME_COLUMNS),
        styled(bar, span.error === undefined ? "phase" : "removed", options.hasColor),
        `${formatNs(tookMs * 1e6)}${goesOn ? "…" : ""}`.padStart(TIME_COLUMNS),
        span.error === undefined ? "" : `\n${"  ".repeat(depth + 1)}${escapeControls(span.error)}`,
      ].join("");
    });
  const title = starts.length > 0 ? "From the request to the program's first instruction" : "The whole trace";
  return `${styled(`${title}: ${formatNs(wholeMs * 1e6)}`, "title", options.hasColor)}\n${lines.join("\n")}\n`;
}

/** The spans in the order of a tree: each is followed by its parts, the first to begin first. */
function rowsOf(spans: readonly TraceSpan[]): Row[] {
  const ids = new Set(spans.map(({ id }) => id));
  const parts = Map.groupBy(
    spans.toSorted((a, b) => a.beganMs - b.beganMs),
    ({ parentId }) => (ids.has(parentId) ? parentId : ""),
  );
  const below = (parentId: string, depth: number): Row[] =>
    (parts.get(parentId) ?? []).flatMap((span) => [{ span, depth }, ...below(span.id, depth + 1)]);
  return below("", 0);
}

/** What a span is about, beside its name, where that differs from one to the next. */
function labelOf({ name, attributes }: TraceSpan): string {
  const which = { pull: attributes["container.image.name"], layer: attributes["layer.digest"] }[name];
  return escapeControls(which === undefined ? name : `${name} ${which}`);
}

/** A bar at `from`, as long as `part`, both of the whole. Something that took no time is a thin line. */
function barOf(from: number, part: number, columns: number): string {
  const begin = Math.min(Math.floor(from * columns), columns - 1);
  const eighths = Math.max(1, Math.round(Math.min(part * columns, columns - begin) * 8));
  return `${" ".repeat(begin)}${BLOCKS[8]!.repeat(Math.floor(eighths / 8))}${eighths % 8 === 0 ? "" : BLOCKS[eighths % 8]}`.padEnd(
    columns,
  );
}
