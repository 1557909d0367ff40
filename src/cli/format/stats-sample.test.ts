import { describe, expect, test } from "bun:test";
import { computeUsage, type StatsSample } from "./stats-sample.ts";

const nothing: StatsSample = {};

function cpu(total: number, system: number, online?: number, perCpu?: number[]) {
  return {
    cpu_usage: { total_usage: total, ...(perCpu === undefined ? {} : { percpu_usage: perCpu }) },
    system_cpu_usage: system,
    ...(online === undefined ? {} : { online_cpus: online }),
  };
}

describe("CPU: the share of the time since the sample before, times the CPUs", () => {
  test.each<[what: string, percent: number, sample: StatsSample]>([
    ["one of two CPUs", 100, { cpu_stats: cpu(150, 1200, 2), precpu_stats: cpu(50, 1000, 2) }],
    [
      "CPUs counted by their numbers (cgroup v1)",
      200,
      { cpu_stats: cpu(100, 200, undefined, [1, 2, 3, 4]), precpu_stats: cpu(0, 0) },
    ],
    ["no sample before", 50, { cpu_stats: cpu(100, 200, 1) }],
    ["the same sample again", 0, { cpu_stats: cpu(100, 200, 1), precpu_stats: cpu(100, 200, 1) }],
    ["time that went back", 0, { cpu_stats: cpu(200, 100, 1), precpu_stats: cpu(100, 200, 1) }],
    ["nothing", 0, nothing],
  ])("%s: %d%%", (_what, percent, sample) => {
    expect(computeUsage(sample).cpuPercent).toBe(percent);
  });
});

describe("memory: without pages of files that can be had back", () => {
  test.each<[what: string, bytes: number, stats: Record<string, number> | null]>([
    ["cgroup v1", 700, { total_inactive_file: 300, inactive_file: 100 }],
    ["cgroup v2", 900, { inactive_file: 100 }],
    ["v1 with more cache than use", 900, { total_inactive_file: 2000, inactive_file: 100 }],
    ["v2 with as much cache as use", 1000, { inactive_file: 1000 }],
    ["no details", 1000, null],
  ])("%s", (_what, bytes, stats) => {
    const usage = computeUsage({ memory_stats: { usage: 1000, limit: 4000, stats } });
    expect(usage).toMatchObject({ memoryBytes: bytes, memoryLimitBytes: 4000, memoryPercent: bytes / 40 });
  });

  test("a limit of 0 is 0%, not infinitely much", () => {
    expect(computeUsage({ memory_stats: { usage: 5, limit: 0 } }).memoryPercent).toBe(0);
  });
});

test("networks and devices are added up, by the first letter of the operation", () => {
  const usage = computeUsage({
    networks: { eth0: { rx_bytes: 1, tx_bytes: 10 }, eth1: { rx_bytes: 2, tx_bytes: 20 } },
    blkio_stats: {
      io_service_bytes_recursive: [
        { op: "Read", value: 3 },
        { op: "read", value: 4 },
        { op: "Write", value: 5 },
        { op: "Total", value: 100 },
        { op: "", value: 1000 },
      ],
    },
    pids_stats: { current: 6 },
  });
  expect(usage).toMatchObject({ receivedBytes: 3, sentBytes: 30, readBytes: 7, writtenBytes: 5, processes: 6 });
});
