import { expect, test } from "bun:test";
import type { StatsSample } from "../../engine/mod.ts";
import { describeUse } from "./measurements.ts";
import { Ring } from "./ring.ts";
import { parseRequest } from "./watcher.ts";

test("what a page asks for is read, and everything else is nothing", () => {
  const good = [
    { topic: "stats", ids: ["a"] },
    { topic: "host", on: true },
    { topic: "events", on: false },
    { topic: "history", id: "" },
    { topic: "build", id: "a" },
    { topic: "logs", id: "a", tail: 5, since: "2026-12-03T00:00:00Z" },
  ];
  for (const request of good) expect(parseRequest(JSON.stringify(request))).toEqual(request as never);
  expect(parseRequest('{"topic":"logs","id":"a","tail":"x"}')).toEqual({ topic: "logs", id: "a", tail: 1000 });
  const bad = ["", "1", "null", "[]", "{}", '{"topic":"stats","ids":[1]}', '{"topic":"host"}', '{"topic":"logs"}'];
  for (const text of [...bad, '{"topic":"x","id":""}', '{"topic":"logs","id":"","since":5}', "\u0000"])
    expect(parseRequest(text)).toBeUndefined();
});

test("a ring keeps an hour, oldest first", () => {
  const ring = new Ring(2);
  expect(ring.rows()).toEqual([]);
  for (let i = 0; i < 400; i++) ring.push([i, -i, 99]);
  const rows = ring.rows();
  expect([rows.length, rows[0], rows.at(-1)]).toEqual([360, [40, -40], [399, -399]]);
});

function sample(cpuNs: number, rxBytes: number): StatsSample {
  return {
    ...{ read: "", version: 2, perCpuNs: undefined, memoryFailures: undefined, memoryTotalBytes: 1000 },
    cgroup: {
      cpu: { usageNs: cpuNs, userNs: 0, systemNs: 0, periods: 0, throttledPeriods: 0, throttledNs: 0 },
      memory: { usageBytes: 500, stat: { inactive_file: 100 } },
      pids: { current: 3 },
      io: [],
    },
    system: { usageNs: 0, cpuCount: 1 },
    interfaces: [{ name: "eth0", rxBytes } as never],
  } as unknown as StatsSample;
}

test("rates are by second, and 0 without an earlier sample or after counters began anew", () => {
  const [first, second] = [sample(0, 100), sample(1e9, 300)];
  expect(describeUse(first, undefined, 0)).toEqual([0, 400, 1000, 3, 0, 0, 0, 0]);
  expect(describeUse(second, first, 2000)).toEqual([50, 400, 1000, 3, 100, 0, 0, 0]);
  expect(describeUse(first, second, 2000)).toEqual([0, 400, 1000, 3, 0, 0, 0, 0]);
});
