import { expect, test } from "bun:test";
import {
  NESTED_V2,
  PLAIN_HYBRID,
  readFrom,
  SYSTEMD_HYBRID,
  SYSTEMD_V1,
  UNIFIED,
} from "../../../tests/support/cgroup-hosts.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { defaultDeviceRules } from "./device-rules.ts";
import { detectCgroupHost } from "./host.ts";
import { planCgroup, planUpdate } from "./plan.ts";
import type { CgroupWrite } from "./write-list.ts";

const hybrid = detectCgroupHost(readFrom(PLAIN_HYBRID));
const unified = detectCgroupHost(readFrom(UNIFIED));
const legacy = detectCgroupHost(readFrom(SYSTEMD_V1));
const nested = detectCgroupHost(readFrom(NESTED_V2));

/** "memory.max 1024", or "memory.max 1024 (ENOENT)" if that is tolerated. */
function listing(writes: readonly CgroupWrite[]): string[] {
  return writes.map(({ file, value, tolerate = [] }) => {
    const name = file.slice(file.lastIndexOf("/") + 1);
    return `${name} ${value}${tolerate.length === 0 ? "" : ` (${tolerate.join()})`}`;
  });
}

const EVERYTHING: OciResources = {
  memory: { limit: 2 ** 26, swap: 2 ** 27, reservation: 2 ** 25, swappiness: 60, disableOOMKiller: true },
  cpu: { shares: 512, quota: 50000, period: 100000, burst: 1000, cpus: "0-1", mems: "0" },
  pids: { limit: 100 },
  blockIO: {
    weight: 500,
    weightDevice: [{ major: 8, minor: 0, weight: 10 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1048576 }],
    throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 0 }],
    throttleReadIOPSDevice: [{ major: 8, minor: 16, rate: 100 }],
    throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 200 }],
  },
};

test("planCgroup on v1 writes v1's files: period before quota, memory before memory + swap", () => {
  const plan = planCgroup(hybrid, "/lighter/a", EVERYTHING);
  expect(listing(plan.writes)).toEqual([
    "pids.max 100",
    "memory.limit_in_bytes 67108864",
    "memory.memsw.limit_in_bytes 134217728",
    "memory.soft_limit_in_bytes 33554432",
    "memory.swappiness 60",
    "memory.oom_control 1",
    "cpu.shares 512",
    "cpu.cfs_period_us 100000",
    "cpu.cfs_quota_us 50000",
    "cpu.cfs_burst_us 1000",
    "cpuset.cpus 0-1",
    "cpuset.mems 0",
    "blkio.weight 500 (ENOENT)",
    "blkio.bfq.weight 500 (ENOENT)",
    "blkio.weight_device 8:0 10 (ENOENT)",
    "blkio.bfq.weight_device 8:0 10 (ENOENT)",
    "blkio.throttle.read_bps_device 8:0 1048576",
    "blkio.throttle.write_bps_device 8:0 0",
    "blkio.throttle.read_iops_device 8:16 100",
    "blkio.throttle.write_iops_device 8:16 200",
  ]);
  expect(plan.writes[1]).toEqual({
    file: "/sys/fs/cgroup/memory/lighter/a/memory.limit_in_bytes",
    value: "67108864",
    why: "resources.memory.limit",
  });
  expect(plan.warnings).toEqual([]);
});

test("planCgroup on v2 writes the same, translated", () => {
  const memory = { limit: 2 ** 26, swap: 2 ** 27, reservation: 2 ** 25 };
  const plan = planCgroup(unified, "/lighter/a", { ...EVERYTHING, memory });
  expect(listing(plan.writes)).toEqual([
    "pids.max 100",
    "memory.swap.max 67108864",
    "memory.max 67108864",
    "memory.low 33554432",
    "cpu.weight 59",
    "cpu.max 50000 100000",
    "cpu.max.burst 1000",
    "cpuset.cpus 0-1",
    "cpuset.mems 0",
    "io.bfq.weight 500 (ENOENT)",
    "io.weight 4950 (ENOENT)",
    "io.bfq.weight 8:0 10 (ENOENT)",
    "io.weight 8:0 1 (ENOENT)",
    "io.max 8:0 rbps=1048576",
    "io.max 8:0 wbps=max",
    "io.max 8:16 riops=100",
    "io.max 8:16 wiops=200",
  ]);
  expect(plan.warnings).toEqual([]);
});

test("planCgroup joins every v1 hierarchy and v2, and can kill by v2", () => {
  const plan = planCgroup(hybrid, "/lighter/a", {});
  expect(plan.tasksFiles).toHaveLength(9);
  expect(plan.tasksFiles).toContain("/sys/fs/cgroup/systemd/lighter/a/tasks");
  expect(plan.v2Directory).toBe("/sys/fs/cgroup/unified/lighter/a");
  expect(plan.killFile).toBe("/sys/fs/cgroup/unified/lighter/a/cgroup.kill");
  expect(plan.oomFiles).toEqual(["/sys/fs/cgroup/memory/lighter/a/memory.oom_control"]);
  expect(plan.directories.filter(({ leaf }) => leaf)).toHaveLength(10);
  expect(plan.directories.slice(0, 2)).toEqual([
    { path: "/sys/fs/cgroup/cpu/lighter", leaf: false },
    { path: "/sys/fs/cgroup/cpu/lighter/a", leaf: true },
  ]);
});

test("planCgroup makes one directory for controllers that share a hierarchy, and has no kill file without v2", () => {
  const plan = planCgroup(legacy, "/lighter/a", { cpu: { shares: 2 } });
  expect(plan.tasksFiles).toHaveLength(11);
  expect(plan.writes[0]?.file).toBe("/sys/fs/cgroup/cpu,cpuacct/lighter/a/cpu.shares");
  expect(plan.killFile).toBeUndefined();
  expect(plan.v2Directory).toBeUndefined();
});

test("planCgroup on v1 gives shared parents their parent's cpuset, and children inherit it", () => {
  expect(planCgroup(legacy, "/a/b/c", {}).parents).toMatchObject([
    { kind: "inherit", file: "/sys/fs/cgroup/cpuset/a/cpuset.cpus", from: "/sys/fs/cgroup/cpuset/cpuset.cpus" },
    { kind: "inherit", file: "/sys/fs/cgroup/cpuset/a/cpuset.mems", from: "/sys/fs/cgroup/cpuset/cpuset.mems" },
    { kind: "inherit", file: "/sys/fs/cgroup/cpuset/a/b/cpuset.cpus", from: "/sys/fs/cgroup/cpuset/a/cpuset.cpus" },
    { kind: "inherit", file: "/sys/fs/cgroup/cpuset/a/b/cpuset.mems", from: "/sys/fs/cgroup/cpuset/a/cpuset.mems" },
    { kind: "write", file: "/sys/fs/cgroup/cpuset/a/b/cgroup.clone_children", value: "1" },
  ]);
});

test("planCgroup on v1 copies the top's cpuset to a cgroup that has no parent of ours, before the config's", () => {
  const plan = planCgroup(legacy, "/alone", { cpu: { cpus: "1" } });
  expect(plan.parents).toEqual([]);
  expect(listing(plan.writes)).toEqual(["cpuset.cpus 0-7", "cpuset.mems 0-1", "cpuset.cpus 1"]);
});

test("planCgroup takes a burst of 0, and 0 processes for what is next to it", () => {
  const plan = planCgroup(nested, "/lighter/a", { cpu: { burst: 0 }, pids: { limit: 0 } });
  expect(listing(plan.writes)).toEqual(["pids.max 1", "cpu.max.burst 0 (ENOENT)"]);
});

test("planCgroup on v2 hands controllers down from the top to the leaf's parent", () => {
  const plan = planCgroup(nested, "/lighter/a", { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] });
  const controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];
  expect(plan.parents).toMatchObject([
    { kind: "enable", file: "/sys/fs/cgroup/cgroup.subtree_control", controllers, required: ["hugetlb"] },
    { kind: "enable", file: "/sys/fs/cgroup/lighter/cgroup.subtree_control", controllers, required: ["hugetlb"] },
  ]);
});

test("planCgroup on a hybrid host enables a v2 controller only if it is asked for", () => {
  expect(planCgroup(hybrid, "/lighter/a", {}).parents.filter(({ kind }) => kind === "enable")).toEqual([]);
  const plan = planCgroup(hybrid, "/lighter/a", { hugepageLimits: [{ pageSize: "2MB", limit: 2 ** 21 }] });
  expect(plan.parents.filter(({ kind }) => kind === "enable")).toMatchObject([
    { file: "/sys/fs/cgroup/unified/cgroup.subtree_control", controllers: ["hugetlb"], required: ["hugetlb"] },
    { file: "/sys/fs/cgroup/unified/lighter/cgroup.subtree_control" },
  ]);
  expect(listing(plan.writes)).toEqual(["hugetlb.2MB.max 2097152", "hugetlb.2MB.rsvd.max 2097152 (ENOENT)"]);
});

test("planCgroup restricts devices by files on v1 and by a program on v2", () => {
  const resources = { devices: defaultDeviceRules() };
  const onV1 = planCgroup(hybrid, "/lighter/a", resources);
  expect(onV1.deviceProgram).toBeUndefined();
  expect(listing(onV1.writes).slice(0, 2)).toEqual(["devices.deny a", "devices.allow b *:* m"]);
  const onV2 = planCgroup(unified, "/lighter/a", resources);
  expect(onV2.writes).toEqual([]);
  expect(onV2.deviceProgram?.length).toBeGreaterThan(0);
});

test("planCgroup with every device allowed needs no program, and without rules restricts nothing", () => {
  expect(planCgroup(unified, "/a/b", { devices: [{ allow: true, access: "rwm" }] }).deviceProgram).toBeUndefined();
  expect(planCgroup(unified, "/a/b", {}).deviceProgram).toBeUndefined();
  expect(planCgroup(hybrid, "/a/b", {}).writes).toEqual([]);
  expect(planCgroup(unified, "/a/b", { devices: [] }).deviceProgram).toBeDefined();
});

test("planCgroup uses only files that the host is known to have", () => {
  const blockIO = { weight: 100 };
  const bfq = { ...hybrid, interfaceFiles: new Set(["blkio.bfq.weight"]) };
  expect(listing(planCgroup(bfq, "/a/b", { blockIO }).writes)).toEqual(["blkio.bfq.weight 100"]);
  const cost = { ...unified, interfaceFiles: new Set(["io.weight"]) };
  expect(listing(planCgroup(cost, "/a/b", { blockIO }).writes)).toEqual(["io.weight 910"]);
  const neither = { ...unified, interfaceFiles: new Set(["io.max"]) };
  expect(() => planCgroup(neither, "/a/b", { blockIO })).toThrow(
    'resources.blockIO.weight: this kernel\'s cgroups have no file "io.weight"',
  );
});

test("planCgroup without swap accounting passes over unlimited and no swap, and refuses a real limit", () => {
  const noSwap = { ...unified, interfaceFiles: new Set(["memory.max"]) };
  const plan = (swap: number) => listing(planCgroup(noSwap, "/a/b", { memory: { limit: 1000, swap } }).writes);
  expect(plan(-1)).toEqual(["memory.max 1000"]);
  expect(plan(1000)).toEqual(["memory.max 1000"]);
  expect(() => plan(3000)).toThrow(expect.objectContaining({ code: "not-supported" }));
});

test("planCgroup names the controller that this host has not", () => {
  const missing: [OciResources, string][] = [
    [{ network: { classID: 1 } }, 'resources.network.classID: this host has no cgroup controller "net_cls"'],
    [{ network: { priorities: [{ name: "eth0", priority: 1 }] } }, 'no cgroup controller "net_prio"'],
    [{ hugepageLimits: [{ pageSize: "2MB", limit: 0 }] }, 'no cgroup controller "hugetlb"'],
    [{ unified: { "hugetlb.2MB.max": "0" } }, 'has no v2 controller "hugetlb"'],
    [{ cpu: { realtimeRuntime: 1 } }, "cgroup v2 has no real-time budget"],
    [{ blockIO: { leafWeight: 10 } }, "resources.blockIO.leafWeight: cgroup v2 has no leaf weight"],
    [{ blockIO: { weightDevice: [{ major: 8, minor: 0, leafWeight: 10 }] } }, "weightDevice[0].leafWeight"],
    [{ memory: { swappiness: 60 } }, "resources.memory.swappiness"],
    [{ memory: { disableOOMKiller: true } }, "resources.memory.disableOOMKiller"],
  ];
  for (const [resources, message] of missing) {
    const attempt = () => planCgroup(unified, "/a/b", resources);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ code: "not-supported" }));
  }
  expect(() => planCgroup(legacy, "/a/b", { unified: { "memory.high": "1" } })).toThrow(
    'invalid configuration: resources.unified["memory.high"]: this host has no v2 controller "memory"',
  );
});

test("planCgroup writes net_cls, net_prio, rdma and real-time where they exist", () => {
  expect(
    listing(
      planCgroup(legacy, "/a/b", {
        network: { classID: 1048577, priorities: [{ name: "eth0", priority: 5 }] },
        cpu: { realtimePeriod: 1000000, realtimeRuntime: 950000 },
      }).writes,
    ),
  ).toEqual([
    "cpu.rt_period_us 1000000",
    "cpu.rt_runtime_us 950000",
    "net_cls.classid 1048577",
    "net_prio.ifpriomap eth0 5",
  ]);
  expect(
    listing(planCgroup(unified, "/a/b", { rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10000 } } }).writes),
  ).toEqual(["rdma.max mlx5_1 hca_handle=3 hca_object=10000"]);
});

test("planCgroup writes unified keys last, a line at a time", () => {
  const plan = planCgroup(unified, "/a/b", {
    memory: { limit: 1000 },
    unified: { "memory.max": "2000", "io.max": "8:0 rbps=1\n8:16 rbps=2\n" },
  });
  expect(listing(plan.writes)).toEqual([
    "memory.max 1000",
    "memory.max 2000",
    "io.max 8:0 rbps=1",
    "io.max 8:16 rbps=2",
  ]);
});

test("planCgroup: unlimited memory is unlimited swap too, as on v1", () => {
  const resources = { memory: { limit: -1 } };
  expect(listing(planCgroup(unified, "/a/b", resources).writes)).toEqual([
    "memory.swap.max max (ENOENT)",
    "memory.max max",
  ]);
  expect(listing(planCgroup(hybrid, "/a/b", resources).writes)).toEqual([
    "memory.limit_in_bytes -1",
    "memory.memsw.limit_in_bytes -1 (ENOENT)",
  ]);
});

test("planCgroup keeps every digit of large numbers", () => {
  const writes = planCgroup(unified, "/a/b", { memory: { limit: 2 ** 63 - 4096 } }).writes;
  expect(listing(writes)).toEqual(["memory.max 9223372036854771712"]);
});

test("planCgroup: a cpu group stops being idle before its weight, and becomes idle after", () => {
  expect(listing(planCgroup(unified, "/a/b", { cpu: { shares: 1024, idle: 0 } }).writes)).toEqual([
    "cpu.idle 0",
    "cpu.weight 100",
  ]);
  expect(listing(planCgroup(unified, "/a/b", { cpu: { shares: 1024, idle: 1 } }).writes)).toEqual([
    "cpu.weight 100",
    "cpu.idle 1",
  ]);
});

test("planCgroup refuses malformed values", () => {
  const bad: OciResources[] = [
    { memory: { limit: -2 } },
    { memory: { limit: 1.5 } },
    { memory: { limit: 100, swap: 50 } },
    { memory: { limit: -1, swap: 50 } },
    { memory: { swap: 50 } },
    { memory: { swappiness: 101 } },
    { memory: { swappiness: Number.NaN } },
    { memory: { kernelTCP: 0.5 } },
    { cpu: { shares: 1 } },
    { cpu: { idle: 2 } },
    { cpu: { realtimeRuntime: 1.5 } },
    { cpu: { realtimePeriod: 1e300 } },
    { cpu: { cpus: "0-1\n1" } },
    { cpu: { mems: "all" } },
    { cpu: { quota: Number.NaN } },
    { pids: { limit: 0.5 } },
    { blockIO: { weight: 9 } },
    { blockIO: { weight: 1001 } },
    { blockIO: { throttleReadBpsDevice: [{ major: -1, minor: 0, rate: 1 }] } },
    { blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: -1 }] } },
    { hugepageLimits: [{ pageSize: "../2MB", limit: 1 }] },
    { rdma: { "a b": { hcaHandles: 1 } } },
    { unified: { "../memory.max": "1" } },
    { unified: { memory: "1" } },
    { network: { priorities: [{ name: "eth0 1\nlo", priority: 1 }] } },
  ];
  const host = { ...hybrid, v2: { ...unified.v2!, controllers: ["hugetlb", "rdma"] } };
  for (const resources of bad)
    expect(() => planCgroup(host, "/a/b", resources), JSON.stringify(resources)).toThrow(
      expect.objectContaining({ code: "invalid" }),
    );
});

test("planCgroup refuses a cgroupsPath that leaves the hierarchy or forges /proc/PID/cgroup", () => {
  for (const path of [
    "",
    "/",
    "a/../b",
    "..",
    "/a//b",
    "a/",
    "./a",
    "a\nb",
    "a\0b",
    `/${"x".repeat(256)}`,
    "x/".repeat(2000),
  ])
    expect(() => planCgroup(unified, path, {}), path).toThrow(expect.objectContaining({ code: "invalid" }));
  expect(planCgroup(unified, "a/b", {}).v2Directory).toBe("/sys/fs/cgroup/a/b");
});

test("planUpdate on v1 raises memory + swap before memory, and lowers it after", () => {
  const update = (limit: number, swap: number, memoryLimitBytes: number) =>
    listing(planUpdate(hybrid, "/a/b", { memory: { limit, swap } }, { memoryLimitBytes }).writes).map(
      (each) => each.split(/[. ]/)[1],
    );
  expect(update(200, 400, 100)).toEqual(["memsw", "limit_in_bytes"]);
  expect(update(50, 60, 100)).toEqual(["limit_in_bytes", "memsw"]);
  expect(update(50, 150, 100)).toEqual(["memsw", "limit_in_bytes"]);
  expect(update(200, 400, -1)).toEqual(["limit_in_bytes", "memsw"]);
  expect(update(200, -1, 100)).toEqual(["memsw", "limit_in_bytes"]);
});

test("planUpdate of swap alone takes the limit from the live cgroup", () => {
  const resources = { memory: { swap: 300 } };
  const current = { memoryLimitBytes: 100 };
  expect(listing(planUpdate(unified, "/a/b", resources, current).writes)).toEqual(["memory.swap.max 200"]);
  expect(listing(planUpdate(hybrid, "/a/b", resources, current).writes)).toEqual(["memory.memsw.limit_in_bytes 300"]);
});

test("planUpdate on v1 tries the period before and writes it after the quota", () => {
  const resources = { cpu: { quota: 1000, period: 2000, burst: 10 } };
  expect(listing(planUpdate(hybrid, "/a/b", resources, {}).writes)).toEqual([
    "cpu.cfs_burst_us 10 (EINVAL)",
    "cpu.cfs_period_us 2000 (EINVAL)",
    "cpu.cfs_quota_us 1000",
    "cpu.cfs_period_us 2000",
    "cpu.cfs_burst_us 10",
  ]);
});

test("planUpdate on v2 keeps the quota when the period changes, and the period when the quota does", () => {
  const update = (cpu: NonNullable<OciResources["cpu"]>) =>
    listing(planUpdate(unified, "/a/b", { cpu }, { cpuQuotaUs: 7000 }).writes);
  expect(update({ period: 50000 })).toEqual(["cpu.max 7000 50000"]);
  expect(update({ quota: 3000 })).toEqual(["cpu.max 3000"]);
  expect(update({ quota: -1 })).toEqual(["cpu.max max"]);
});

test("planUpdate with checkBeforeUpdate refuses a limit below what is in use", () => {
  const memory = { limit: 100, checkBeforeUpdate: true };
  expect(() => planUpdate(unified, "/a/b", { memory }, { memoryUsageBytes: 101 })).toThrow(
    expect.objectContaining({ code: "conflict", message: "rejecting memory limit 100: 101 bytes are in use" }),
  );
  const both = { memory: { ...memory, swap: 200 } };
  expect(() => planUpdate(unified, "/a/b", both, { memoryUsageBytes: 101, memorySwapUsageBytes: 201 })).toThrow(
    "rejecting memory+swap limit 200: 201 bytes are in use",
  );
  expect(() => planUpdate(unified, "/a/b", both, { memorySwapUsageBytes: 200 })).not.toThrow();
  expect(() => planUpdate(unified, "/a/b", { memory }, { memoryUsageBytes: 100 })).not.toThrow();
});

test("planUpdate refuses device rules", () => {
  expect(() => planUpdate(unified, "/a/b", { devices: [] }, {})).toThrow(
    expect.objectContaining({ code: "not-supported" }),
  );
});

test("planCgroup on a hybrid host whose v2 is empty enables nothing there", () => {
  const plan = planCgroup(detectCgroupHost(readFrom(SYSTEMD_HYBRID)), "/a/b", { pids: { limit: -1 } });
  expect(plan.parents.filter(({ kind }) => kind === "enable")).toEqual([]);
  expect(listing(plan.writes)).toEqual(["pids.max max"]);
});

test("planCgroup writes leaf weights where the kernel has them, and refuses them by name where it is known to have not", () => {
  const blockIO = { leafWeight: 300, weightDevice: [{ major: 8, minor: 0, weight: 10, leafWeight: 20 }] };
  expect(listing(planCgroup(legacy, "/a/b", { blockIO }).writes)).toEqual([
    "blkio.leaf_weight 300",
    "blkio.leaf_weight_device 8:0 20",
    "blkio.weight_device 8:0 10 (ENOENT)",
    "blkio.bfq.weight_device 8:0 10 (ENOENT)",
  ]);
  const modern = { ...legacy, interfaceFiles: new Set(["blkio.bfq.weight"]) };
  expect(() => planCgroup(modern, "/a/b", { blockIO: { leafWeight: 300 } })).toThrow(
    'resources.blockIO.leafWeight: this kernel\'s cgroups have no file "blkio.leaf_weight"',
  );
});

test("planCgroup says when a setting may go nowhere unless the files of cgroups are looked at first", () => {
  const plan = (host: typeof legacy, resources: OciResources) => planCgroup(host, "/a", resources).needsInterfaceFiles;
  expect(plan(legacy, { blockIO: { weight: 10 } })).toBe(true);
  expect(plan(unified, { blockIO: { weight: 10 } })).toBe(true);
  expect(plan({ ...unified, interfaceFiles: new Set(["io.weight"]) }, { blockIO: { weight: 10 } })).toBe(false);
  expect(plan(unified, { memory: { limit: 1000, swap: -1 }, cpu: { shares: 2 } })).toBe(false);
});

test("planCgroup takes integers that were parsed without loss, up to the largest", () => {
  const exact = { limit: 9223372036854771712n, swap: -1n } as unknown as NonNullable<OciResources["memory"]>;
  const limit = 18446744073709551615n as unknown as number;
  const host = { ...unified, v2: { ...unified.v2!, controllers: ["memory", "hugetlb"] } };
  const resources = { memory: exact, hugepageLimits: [{ pageSize: "2MB", limit }] };
  expect(listing(planCgroup(host, "/a/b", resources).writes)).toEqual([
    "memory.swap.max max (ENOENT)",
    "memory.max 9223372036854771712",
    "hugetlb.2MB.max 18446744073709551615",
    "hugetlb.2MB.rsvd.max 18446744073709551615 (ENOENT)",
  ]);
});
