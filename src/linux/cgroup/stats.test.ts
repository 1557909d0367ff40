import { expect, test } from "bun:test";
import { PLAIN_HYBRID, readFrom, UNIFIED } from "../../../tests/support/cgroup-hosts.ts";
import { detectCgroupHost } from "./host.ts";
import {
  parseBlkio,
  parseFlatKeyed,
  parseIoStat,
  parseLimit,
  parsePids,
  readCurrentLimits,
  readStats,
  readSwap,
  wasOomKilled,
} from "./stats.ts";

const unified = detectCgroupHost(readFrom(UNIFIED));
const hybrid = detectCgroupHost(readFrom(PLAIN_HYBRID));

test("parseFlatKeyed keeps the kernel's names and leaves out other lines", () => {
  expect({ ...parseFlatKeyed("anon 1\nfile 2\nbad\nnr_x max\n__proto__ 3\n") }).toEqual(
    Object.fromEntries([
      ["anon", 1],
      ["file", 2],
      ["__proto__", 3],
    ]),
  );
});

test("parseLimit knows both ways of saying unlimited", () => {
  expect(["max\n", "9223372036854771712\n", "100\n", "0", "", undefined].map(parseLimit)).toEqual([
    undefined,
    undefined,
    100,
    0,
    undefined,
    undefined,
  ]);
});

test("parseIoStat reads a line a device, also of one without counters yet", () => {
  expect(parseIoStat("8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n8:0\n8:32 \n")).toEqual([
    { major: 8, minor: 16, readBytes: 1459200, writeBytes: 314773504, readOperations: 192, writeOperations: 353 },
    { major: 8, minor: 32, readBytes: 0, writeBytes: 0, readOperations: 0, writeOperations: 0 },
  ]);
});

test("parseBlkio joins bytes and operations of a device and leaves out totals", () => {
  const bytes = "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Total 30\nTotal 30\n";
  expect(parseBlkio(bytes, "8:0 Read 1\n8:0 Write 2\n8:16 Read 3\n")).toEqual([
    { major: 8, minor: 0, readBytes: 10, writeBytes: 20, readOperations: 1, writeOperations: 2 },
    { major: 8, minor: 16, readBytes: 0, writeBytes: 0, readOperations: 3, writeOperations: 0 },
  ]);
});

test("parsePids leaves out processes of other pid namespaces", () => {
  expect(parsePids("1\n0\n77\n")).toEqual([1, 77]);
});

test("wasOomKilled reads v2's and v1's files, and not the limit being reached", () => {
  expect(wasOomKilled(["low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n"])).toBe(true);
  expect(wasOomKilled(["low 0\nhigh 0\nmax 5\noom 1\noom_kill 0\noom_group_kill 0\n"])).toBe(false);
  expect(wasOomKilled(["oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"])).toBe(true);
  expect(wasOomKilled([])).toBe(false);
});

test("readStats reads v2", () => {
  const at = "/sys/fs/cgroup/a";
  const read = readFrom({
    [`${at}/cpu.stat`]: "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 4\n",
    [`${at}/memory.current`]: "4096\n",
    [`${at}/memory.max`]: "max\n",
    [`${at}/memory.peak`]: "8192\n",
    [`${at}/memory.stat`]: "anon 1\n",
    [`${at}/pids.current`]: "2\n",
    [`${at}/pids.max`]: "10\n",
    [`${at}/io.stat`]: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
  });
  const stats = readStats(unified, "/a", read);
  expect(stats.cpu).toEqual({
    usageNs: 5000,
    userNs: 3000,
    systemNs: 2000,
    periods: 7,
    throttledPeriods: 1,
    throttledNs: 4000,
  });
  expect({ ...stats.memory, stat: { ...stats.memory.stat } }).toEqual({
    usageBytes: 4096,
    maxUsageBytes: 8192,
    stat: { anon: 1 },
  });
  expect(stats.pids).toEqual({ current: 2, limit: 10 });
  expect(stats.io).toHaveLength(1);
});

test("readStats reads v1, where CPU time is another controller's", () => {
  const read = readFrom({
    "/sys/fs/cgroup/cpu/a/cpu.stat": "nr_periods 7\nnr_throttled 1\nthrottled_time 4\n",
    "/sys/fs/cgroup/cpuacct/a/cpuacct.usage": "5\n",
    "/sys/fs/cgroup/cpuacct/a/cpuacct.usage_user": "3\n",
    "/sys/fs/cgroup/cpuacct/a/cpuacct.usage_sys": "2\n",
    "/sys/fs/cgroup/memory/a/memory.usage_in_bytes": "4096\n",
    "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "8192\n",
    "/sys/fs/cgroup/pids/a/pids.current": "2\n",
    "/sys/fs/cgroup/pids/a/pids.max": "max\n",
    "/sys/fs/cgroup/blkio/a/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n",
  });
  const stats = readStats(hybrid, "/a", read);
  expect(stats.cpu).toEqual({ usageNs: 5, userNs: 3, systemNs: 2, periods: 7, throttledPeriods: 1, throttledNs: 4 });
  expect(stats.memory).toMatchObject({ usageBytes: 4096, limitBytes: 8192 });
  expect(stats.pids).toEqual({ current: 2 });
  expect(stats.io[0]?.readBytes).toBe(10);
});

test("readStats of a cgroup that has gone is all zeros", () => {
  const stats = readStats(unified, "/a", readFrom({}));
  expect([stats.cpu.usageNs, stats.memory.usageBytes, stats.pids.current, stats.io.length]).toEqual([0, 0, 0, 0]);
});

test("readSwap tells v1's swap apart from memory, and nothing where it is not counted", () => {
  const v1 = {
    "/sys/fs/cgroup/memory/a/memory.usage_in_bytes": "100\n",
    "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000\n",
    "/sys/fs/cgroup/memory/a/memory.memsw.usage_in_bytes": "130\n",
    "/sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes": "1500\n",
  };
  expect(readSwap(hybrid, "/a", readFrom(v1))).toEqual({ usageBytes: 30, limitBytes: 500 });
  const v2 = { "/sys/fs/cgroup/a/memory.swap.current": "30\n", "/sys/fs/cgroup/a/memory.swap.max": "max\n" };
  expect(readSwap(unified, "/a", readFrom(v2))).toEqual({ usageBytes: 30 });
  expect(readSwap(unified, "/a", readFrom({}))).toBeUndefined();
});

test("readCurrentLimits reads v1 and v2, with -1 for unlimited", () => {
  const v1 = readFrom({
    "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
    "/sys/fs/cgroup/memory/a/memory.usage_in_bytes": "100\n",
    "/sys/fs/cgroup/memory/a/memory.memsw.usage_in_bytes": "130\n",
    "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
  });
  const limits = { memoryLimitBytes: -1, memoryUsageBytes: 100, memorySwapUsageBytes: 130, cpuQuotaUs: -1 };
  expect(readCurrentLimits(hybrid, "/a", v1)).toEqual(limits);
  const v2 = readFrom({
    "/sys/fs/cgroup/a/memory.max": "4096\n",
    "/sys/fs/cgroup/a/memory.current": "100\n",
    "/sys/fs/cgroup/a/memory.swap.current": "30\n",
    "/sys/fs/cgroup/a/cpu.max": "5000 100000\n",
  });
  expect(readCurrentLimits(unified, "/a", v2)).toEqual({
    memoryLimitBytes: 4096,
    memoryUsageBytes: 100,
    memorySwapUsageBytes: 130,
    cpuQuotaUs: 5000,
  });
});
