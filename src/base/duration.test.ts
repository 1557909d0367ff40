import { expect, test } from "bun:test";
import { parseDurationMs } from "./duration.ts";

test("parseDurationMs reads durations as Go writes them", () => {
  for (const [text, ms] of [
    ["5s", 5000],
    ["1h10m", 4_200_000],
    ["1.5ms", 1.5],
    [".5s", 500],
    ["100us", 0.1],
    ["-1m", -60_000],
    ["+2s", 2000],
    ["0", 0],
    ["1m0s", 60_000],
  ] as const)
    expect(parseDurationMs(text)).toBe(ms);
});

test("parseDurationMs refuses what has no unit or more than durations", () => {
  for (const text of ["", "5", "s", "5 s", "5sx", "x5s", "--1s", "1d", "-"])
    expect(parseDurationMs(text)).toBeUndefined();
});
