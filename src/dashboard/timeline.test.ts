import { expect, test } from "bun:test";
import { lanesOf, ticksBetween } from "./timeline.ts";

const event = (at: number, id: string, action: string, attributes: Record<string, string> = {}) => ({
  ...{ at, id, action, type: "container" },
  attributes: { name: `the ${id}`, ...attributes },
});

test("a thing has a lane with the times in which it ran, and what happened to it", () => {
  const lanes = lanesOf([
    event(10, "a", "start"),
    event(15, "b", "die", { exitCode: "0" }),
    event(20, "a", "die", { exitCode: "137" }),
    event(21, "a", "oom"),
    event(30, "a", "start"),
    event(31, "a", "start"),
  ]);
  expect(lanes.map(({ name, spans }) => [name, spans])).toEqual([
    [
      "the a",
      [
        { from: 10, until: 20 },
        { from: 30, until: undefined },
      ],
    ],
    ["the b", [{ from: undefined, until: 15 }]],
  ]);
  expect(lanes[0]!.marks.map(({ kind }) => kind)).toEqual(["good", "bad", "bad", "good", "good"]);
  expect(lanesOf([])).toEqual([]);
});

test("ticks are at round times and not too many", () => {
  expect(ticksBetween(0, 60_000)).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000]);
  for (const length of [1, 999, 5000, 3_600_000, 86_400_000 * 3, 86_400_000 * 400])
    expect(ticksBetween(1_000_007, 1_000_007 + length).length).toBeLessThanOrEqual(7);
});
