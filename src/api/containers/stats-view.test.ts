import { expect, test } from "bun:test";
import type { StatsSample } from "../../engine/mod.ts";
import { describeStats } from "./stats-view.ts";

const sample: StatsSample = {
  cgroupsPath: "/lighter/a",
  read: "2026-01-01T00:00:01.000000000Z",
  version: 2,
  cgroup: {
    cpu: { usageNs: 30, userNs: 20, systemNs: 10, periods: 1, throttledPeriods: 2, throttledNs: 3 },
    memory: { usageBytes: 4096, limitBytes: 8192, maxUsageBytes: 5000, stat: { anon: 7, unheard_of: 9 } },
    pids: { current: 3, limit: 10 },
    io: [{ major: 8, minor: 16, readBytes: 1, writeBytes: 2, readOperations: 3, writeOperations: 4 }],
  },
  perCpuNs: undefined,
  memoryFailures: 0,
  memoryTotalBytes: 1_000_000,
  system: { usageNs: 1000, cpuCount: 2 },
  interfaces: [
    {
      ...{ name: "eth0", rxBytes: 1, rxPackets: 2, rxErrors: 3, rxDropped: 4 },
      ...{ txBytes: 5, txPackets: 6, txErrors: 7, txDropped: 8 },
    },
  ],
};
const of = { id: "c1", name: "web" };

// biome-ignore lint/suspicious/noExplicitAny: an answer's shape
const view = (now?: StatsSample, before?: StatsSample): any => describeStats(of, now, before);

test("a container that does not run has zeros, in Docker's shape", () => {
  const cpu = {
    cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  };
  expect(view()).toEqual({
    read: "0001-01-01T00:00:00Z",
    preread: "0001-01-01T00:00:00Z",
    pids_stats: {},
    blkio_stats: {
      io_service_bytes_recursive: null,
      io_serviced_recursive: null,
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpu,
    precpu_stats: cpu,
    memory_stats: {},
    name: "/web",
    id: "c1",
  });
});

test("cgroup v2: no counts by CPU, no peak, device operations in lower case", () => {
  const stats = view(sample, { ...sample, read: "2026-01-01T00:00:00.000000000Z" });
  expect(stats.preread).toBe("2026-01-01T00:00:00.000000000Z");
  expect(stats.pids_stats).toEqual({ current: 3, limit: 10 });
  expect(stats.blkio_stats.io_service_bytes_recursive).toEqual([
    { major: 8, minor: 16, op: "read", value: 1 },
    { major: 8, minor: 16, op: "write", value: 2 },
  ]);
  expect(stats.blkio_stats.io_serviced_recursive).toBeNull();
  expect(stats.cpu_stats).toEqual({
    cpu_usage: { total_usage: 30, usage_in_kernelmode: 10, usage_in_usermode: 20 },
    system_cpu_usage: 1000,
    online_cpus: 2,
    throttling_data: { periods: 1, throttled_periods: 2, throttled_time: 3 },
  });
  expect(stats.precpu_stats).toEqual(stats.cpu_stats);
  expect(stats.memory_stats).toMatchObject({ usage: 4096, limit: 8192, stats: { anon: 7, file: 0 } });
  expect(stats.memory_stats.stats).not.toHaveProperty("unheard_of");
  expect(stats.memory_stats).not.toHaveProperty("max_usage");
  expect(stats.networks.eth0).toEqual({
    ...{ rx_bytes: 1, rx_packets: 2, rx_errors: 3, rx_dropped: 4 },
    ...{ tx_bytes: 5, tx_packets: 6, tx_errors: 7, tx_dropped: 8 },
  });
});

test("a number of 64 bits is written as the kernel has it", () => {
  const { cgroup } = sample;
  const stat = { hierarchical_memory_limit: 9223372036854771712n };
  const stats = view({ ...sample, version: 1, cgroup: { ...cgroup, memory: { ...cgroup.memory, stat } } });
  expect(JSON.stringify(stats)).toContain('"hierarchical_memory_limit":9223372036854771712,');
});

test("cgroup v1: counts by CPU, the peak, the machine's memory as the limit of one without", () => {
  const { limitBytes: _, ...memory } = sample.cgroup.memory;
  const stats = view({
    ...sample,
    version: 1,
    cgroup: { ...sample.cgroup, memory, io: [], pids: { current: 1 } },
    perCpuNs: [20, 10],
    interfaces: undefined,
  });
  expect(stats.pids_stats).toEqual({ current: 1 });
  expect(stats.blkio_stats.io_service_bytes_recursive).toEqual([]);
  expect(stats.cpu_stats.cpu_usage.percpu_usage).toEqual([20, 10]);
  expect(stats.memory_stats).toMatchObject({ max_usage: 5000, limit: 1_000_000, stats: { rss: 0, total_rss: 0 } });
  expect(stats).not.toHaveProperty("networks");
});
