import { expect, test } from "bun:test";
import { escapeLabel } from "./metrics.ts";
import { Histogram } from "./request-timings.ts";

test("a histogram counts into every bucket that is large enough", () => {
  const histogram = new Histogram([0.01, 0.1]);
  for (const seconds of [0.01, 0.05, 3]) histogram.observe(seconds);
  expect(histogram.format("h", 'action="x"')).toEqual([
    'h_bucket{action="x",le="0.01"} 1',
    'h_bucket{action="x",le="0.1"} 2',
    'h_bucket{action="x",le="+Inf"} 3',
    'h_sum{action="x"} 3.06',
    'h_count{action="x"} 3',
  ]);
  expect(new Histogram([1]).format("h")).toEqual([
    'h_bucket{le="1"} 0',
    'h_bucket{le="+Inf"} 0',
    "h_sum 0",
    "h_count 0",
  ]);
});

test("a label's value is one line", () => {
  expect(escapeLabel('a"b\\c\nd')).toBe('a\\"b\\\\c\\nd');
});
