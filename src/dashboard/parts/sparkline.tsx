/** A small line of the last measurements. */
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Measured } from "../../spec/dashboard.ts";
import { Series, series } from "../watch.ts";

const WIDTH = 120;
const HEIGHT = 24;

/** A path through the values, the newest at the right edge. `max`: the value at the top, at least. */
export function pathOf(values: readonly number[], max: number): string {
  if (values.length < 2) return "";
  const top = Math.max(max, ...values) || 1;
  const step = WIDTH / (Series.KEPT - 1);
  const left = WIDTH - (values.length - 1) * step;
  const points = values.map(
    (value, i) => `${(left + i * step).toFixed(1)} ${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 3)).toFixed(1)}`,
  );
  return `M${points.join("L")}`;
}

export function Sparkline({ id, name, max = 0 }: { id: string; name: keyof Measured; max?: number }) {
  const path = useMemo(
    () =>
      computed(() => {
        const own = series(id);
        own.latest.value; // the values are read when a new one has come
        return pathOf(own.values(name), max);
      }),
    [id, name, max],
  );
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
