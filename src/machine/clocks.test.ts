import { expect, test } from "bun:test";
import { timeOffsets } from "./clocks.ts";

const now = { monotonic: 3_250_000_000n, boottime: 5_000_000_000n };

test("clocks that show some time are set back by it, in whole seconds down and nanoseconds up", () => {
  const none = "monotonic           0         0\nboottime            0         0\n";
  const offsets = { monotonic: { secs: -4, nanosecs: 750_000_000 }, boottime: { secs: -5, nanosecs: 0 } };
  expect(timeOffsets(now, none)).toEqual(offsets);
  expect(timeOffsets(now, "")).toEqual(offsets);
});

test("clocks that have an offset themselves are set back from there", () => {
  const own = "monotonic          -9 500000000\nboottime          100         1\n";
  expect(timeOffsets(now, own)).toEqual({
    monotonic: { secs: -12, nanosecs: 250_000_000 },
    boottime: { secs: 95, nanosecs: 1 },
  });
});
