import { expect, test } from "bun:test";
import { formatGoDuration } from "./probe.ts";

test.each([
  [200, "200ms"],
  [1.5, "1.5ms"],
  [1000, "1s"],
  [1500, "1.5s"],
  [90_000, "1m30s"],
  [60_000, "1m0s"],
  [3_600_000, "1h0m0s"],
  [5_461_500, "1h31m1.5s"],
])("%d ms is %s", (ms, text) => {
  expect(formatGoDuration(ms)).toBe(text);
});
