import { expect, test } from "bun:test";
import { parseBusyTicks, parseMemory } from "./host.ts";
import { parseNetDev } from "./net-dev.ts";
import { parseSystemCpu } from "./system-cpu.ts";

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1234567890      20    3    4    5     6          7         8       90      10   11   12   13    14      15         16
`;

test("the counters of every interface but lo", () => {
  expect(parseNetDev(NET_DEV)).toEqual([
    {
      name: "eth0",
      rxBytes: 1234567890,
      rxPackets: 20,
      rxErrors: 3,
      rxDropped: 4,
      txBytes: 90,
      txPackets: 10,
      txErrors: 11,
      txDropped: 12,
    },
  ]);
  expect(parseNetDev("")).toEqual([]);
  expect(parseNetDev("eth0: 1 2\n")).toEqual([]);
});

test("the time of all CPUs", () => {
  const text = "cpu  1 2 3 4 5 6 7 800 900 0\ncpu0 1 2 3 4 5 6 7 8 9 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n";
  expect(parseSystemCpu(text)).toEqual({ usageNs: 280_000_000, cpuCount: 2 });
  expect(parseSystemCpu("")).toEqual({ usageNs: 0, cpuCount: 0 });
});

test("the time in which some CPU was not idle", () => {
  const text = "cpu  1 2 3 400 50 6 7 8 900 0\ncpu0 1 2 3 4 5 6 7 8 9 0\nintr 5\n";
  expect(parseBusyTicks(text)).toEqual({ allTicks: 477, busyTicks: 27, count: 1 });
  expect(parseBusyTicks("")).toEqual({ allTicks: 0, busyTicks: 0, count: 0 });
});

test("memory that the kernel could free at once is not used", () => {
  const text = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:   600 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n";
  expect(parseMemory(text)).toEqual({ totalBytes: 1_024_000, usedBytes: 409_600, swapBytes: 30_720 });
  expect(parseMemory("")).toEqual({ totalBytes: 0, usedBytes: 0, swapBytes: 0 });
});
