import { expect, test } from "bun:test";
import { limitsOf } from "./cgroup-limits.ts";

const cgroup = (values: Record<string, string>) => [
  { controllers: "", path: "/a", values: Object.entries(values).map(([file, value]) => ({ file, value })) },
];

test("limits of version 2 stand beside their use", () => {
  const values = { "memory.max": "64", "memory.current": "16", "memory.swap.max": "64" };
  const others = { "memory.swap.current": "8", "cpu.max": "50000 100000", "pids.max": "max", "pids.current": "3" };
  expect(limitsOf(cgroup({ ...values, ...others }))).toEqual([
    { what: "Memory", use: 16, limit: 64 },
    { what: "Memory and swap", use: 24, limit: 128 },
    { what: "Processes and threads", use: 3, limit: Number.POSITIVE_INFINITY },
    { what: "CPUs", use: undefined, limit: 0.5 },
  ]);
});

test("limits of version 1 are the same, and its way to say none is understood", () => {
  const none = "9223372036854771712";
  const values = { "memory.limit_in_bytes": none, "memory.usage_in_bytes": "16", "memory.memsw.limit_in_bytes": none };
  const of = limitsOf([
    ...cgroup(values),
    ...cgroup({ "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000" }),
    ...cgroup({ "pids.max": "100", "pids.current": "3" }),
  ]);
  expect(of).toEqual([
    { what: "Memory", use: 16, limit: Number.POSITIVE_INFINITY },
    { what: "Processes and threads", use: 3, limit: 100 },
    { what: "CPUs", use: undefined, limit: Number.POSITIVE_INFINITY },
  ]);
  expect(limitsOf([])).toEqual([]);
});
