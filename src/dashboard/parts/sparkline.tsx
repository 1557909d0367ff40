/** A small line of the last measurements. */
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { MEASURED, type Measured } from "../../spec/dashboard.ts";
import { series } from "../watch.ts";

const WIDTH = 120;
const HEIGHT = 24;
/** A line of a few moments does not fill the width. */
const LENGTH_MIN_MS = 30_000;

/** A path through [time, value] pairs, the newest at the right edge. `max`: the value at the top, at least. */
export function pathOf(points: readonly (readonly [at: number, value: number])[], max: number): string {
  if (points.length < 2) return "";
  const top = Math.max(max, ...points.map(([, value]) => value)) || 1;
  const [[first], [last]] = [points[0]!, points.at(-1)!];
  const lengthMs = Math.max(LENGTH_MIN_MS, last - first);
  const placed = points.map(([at, value]) => {
    const x = WIDTH * (1 - (last - at) / lengthMs);
    return `${x.toFixed(1)} ${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 3)).toFixed(1)}`;
  });
  return `M${placed.join("L")}`;
}

export function Sparkline({ id, name, max = 0 }: { id: string; name: keyof Measured; max?: number }) {
  const path = useMemo(
    () =>
      computed(() => {
        const own = series(id);
        own.latest.value; // the values are read when a new one has come
        const column = MEASURED.indexOf(name) + 1;
        return pathOf(
          own.rows.map((row) => [row[0] ?? 0, row[column] ?? 0]),
          max,
        );
      }),
    [id, name, max],
  );
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
