import { expect, test } from "bun:test";
import { PLAIN_HYBRID, readFrom, UNIFIED } from "../../tests/support/cgroup-hosts.ts";
import { detectCgroupHost } from "../linux/cgroup/mod.ts";
import { formatJson } from "../spec/json.ts";
import { readRuntimeStats } from "./stats.ts";

const ENTRY_0 = '{"limit":0,"failcnt":0}';
const CPUSET_0 =
  '"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0';

/** The statistics of a cgroup whose files are given by their names alone. */
function stats(hostFiles: Record<string, string>, files: Record<string, string>): string {
  const host = detectCgroupHost(readFrom(hostFiles));
  return formatJson(
    readRuntimeStats(host, "/a", (path) =>
      path.includes("/a/") ? files[path.slice(path.lastIndexOf("/") + 1)] : files[path],
    ),
  );
}

test("readRuntimeStats on v1 prints what runc prints, to the last digit", () => {
  const text = stats(PLAIN_HYBRID, {
    "cpuacct.usage": "17973361\n",
    "cpuacct.usage_percpu": "17973361 0 \n",
    "cpuacct.usage_all": "cpu user system\n0 0 16000000\n1 5 0\n",
    "cpuacct.stat": "user 2\nsystem 1\n",
    "cpu.stat": "nr_periods 3\nnr_throttled 2\nthrottled_time 1\n",
    "cpuset.cpus": "0-1,4\n",
    "cpuset.mems": "0\n",
    "cpuset.sched_load_balance": "1\n",
    "cpuset.sched_relax_domain_level": "-1\n",
    "memory.usage_in_bytes": "782336\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.max_usage_in_bytes": "13123584\n",
    "memory.failcnt": "4\n",
    "memory.stat": "cache 12288\nactive_anon 4096\n",
    "pids.current": "1\n",
    "pids.max": "max\n",
    "blkio.throttle.io_service_bytes_recursive": "8:0 Read 512\n8:0 Total 512\nTotal 512\n",
  });
  expect(text).toBe(
    '{"cpu":{"usage":{"total":17973361,"percpu":[17973361,0],"percpu_kernel":[16000000,0],"percpu_user":[0,5],' +
      '"kernel":10000000,"user":20000000},"throttling":{"periods":3,"throttledPeriods":2,"throttledTime":1}},' +
      `"cpuset":{"cpus":[0,1,4],"cpu_exclusive":0,"mems":[0],${CPUSET_0},"sched_load_balance":1,"sched_relax_domain_level":-1},` +
      '"memory":{"cache":12288,"usage":{"limit":9223372036854771712,"usage":782336,"max":13123584,"failcnt":4},' +
      `"swap":${ENTRY_0},"kernel":${ENTRY_0},"kernelTCP":${ENTRY_0},"raw":{"active_anon":4096,"cache":12288}},` +
      '"pids":{"current":1},' +
      '"blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":512},{"major":8,"op":"Total","value":512}]},' +
      '"hugetlb":{},"intel_rdt":{},"network_interfaces":null}',
  );
});

test("readRuntimeStats on v2 has v1's names: swap with memory in it, io.stat in two tables", () => {
  const host = { ...UNIFIED, "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids hugetlb\n" };
  const text = stats(host, {
    "cpu.stat": "usage_usec 450000\nuser_usec 1\nsystem_usec 2\nnr_periods 0\n",
    "memory.current": "2097152\n",
    "memory.max": "max\n",
    "memory.peak": "3097152\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "0\n",
    "memory.events": "low 0\nmax 7\noom_kill 1\n",
    "memory.stat": "anon 1\nfile 2\n",
    "memory.pressure":
      "some avg10=0.12 avg60=0.00 avg300=0.00 total=80000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=43888\n",
    "pids.current": "2\n",
    "pids.max": "50\n",
    "io.stat": "8:16 rbytes=1 wbytes=0 rios=3 wios=4 dbytes=0 dios=0\n",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.events": "max 3\n",
  });
  expect(text).toBe(
    '{"cpu":{"usage":{"total":450000000,"kernel":2000,"user":1000},"throttling":{}},' +
      `"cpuset":{"cpu_exclusive":0,${CPUSET_0},"sched_load_balance":0,"sched_relax_domain_level":0},` +
      '"memory":{"cache":2,"usage":{"limit":18446744073709551615,"usage":2097152,"max":3097152,"failcnt":7},' +
      `"swap":{"limit":18446744073709551615,"usage":2097162,"failcnt":0},"kernel":${ENTRY_0},"kernelTCP":${ENTRY_0},` +
      '"raw":{"anon":1,"file":2},"psi":{"some":{"avg10":0.12,"avg60":0,"avg300":0,"total":80000},' +
      '"full":{"avg10":0,"avg60":0,"avg300":0,"total":43888}}},"pids":{"current":2,"limit":50},' +
      '"blkio":{"ioServiceBytesRecursive":[{"major":8,"minor":16,"op":"Read","value":1},{"major":8,"minor":16,"op":"Write"}],' +
      '"ioServicedRecursive":[{"major":8,"minor":16,"op":"Read","value":3},{"major":8,"minor":16,"op":"Write","value":4}]},' +
      '"hugetlb":{"2MB":{"usage":2097152,"failcnt":3}},"intel_rdt":{},"network_interfaces":null}',
  );
});

test("readRuntimeStats of a cgroup that has gone is all zeros", () => {
  expect(stats(UNIFIED, {})).toContain('"pids":{},"blkio":{}');
});
