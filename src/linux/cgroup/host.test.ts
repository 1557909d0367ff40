import { describe, expect, test } from "bun:test";
import {
  NESTED_V2,
  PLAIN_HYBRID,
  readFrom,
  SYSTEMD_HYBRID,
  SYSTEMD_V1,
  UNIFIED,
} from "../../../tests/support/cgroup-hosts.ts";
import { detectCgroupHost, locateController, parseProcCgroup } from "./host.ts";
import { planCgroup } from "./plan.ts";

test("detectCgroupHost finds one controller a hierarchy and the rest on v2", () => {
  const host = detectCgroupHost(readFrom(PLAIN_HYBRID));
  expect(host.mode).toBe("hybrid");
  expect(host.v1.map(({ controllers, name }) => name ?? controllers.join(","))).toEqual([
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "systemd",
  ]);
  expect(host.v1[3]).toEqual({
    mountPoint: "/sys/fs/cgroup/memory",
    mountRoot: "/",
    ownPath: "/process_api/b3ba86a96c7acced13a5da455e29b752",
    controllers: ["memory"],
  });
  expect(host.v2).toEqual({
    mountPoint: "/sys/fs/cgroup/unified",
    mountRoot: "/",
    ownPath: "/",
    controllers: ["hugetlb"],
    isHierarchyRoot: true,
  });
  expect(host.cpuset).toEqual({ cpus: "0-1", mems: "0" });
});

test("detectCgroupHost finds v2 alone", () => {
  expect(detectCgroupHost(readFrom(UNIFIED))).toEqual({
    mode: "unified",
    v1: [],
    v2: {
      mountPoint: "/sys/fs/cgroup",
      mountRoot: "/",
      ownPath: "/",
      controllers: ["cpuset", "cpu", "io", "memory", "pids", "rdma", "misc"],
      isHierarchyRoot: true,
    },
  });
});

test("detectCgroupHost keeps controllers that share a hierarchy together, in mount order", () => {
  const host = detectCgroupHost(readFrom(SYSTEMD_V1));
  expect(host.mode).toBe("legacy");
  expect(host.v2).toBeUndefined();
  expect(host.v1).toHaveLength(11);
  expect(host.v1[0]).toEqual({
    mountPoint: "/sys/fs/cgroup/systemd",
    mountRoot: "/",
    ownPath: "/system.slice/sshd.service",
    controllers: [],
    name: "systemd",
  });
  expect(host.v1[2]).toEqual({
    mountPoint: "/sys/fs/cgroup/cpu,cpuacct",
    mountRoot: "/",
    ownPath: "/system.slice",
    controllers: ["cpu", "cpuacct"],
  });
  expect(locateController(host, "cpuacct")).toEqual({ version: 1, mountPoint: "/sys/fs/cgroup/cpu,cpuacct" });
  expect(locateController(host, "rdma")).toBeUndefined();
});

test("detectCgroupHost calls systemd's v1 with an empty v2 beside it hybrid", () => {
  const host = detectCgroupHost(readFrom(SYSTEMD_HYBRID));
  expect(host.mode).toBe("hybrid");
  expect(host.v2?.controllers).toEqual([]);
  expect(host.v2?.ownPath).toBe("/system.slice/sshd.service");
});

test("detectCgroupHost in a container takes /sys/fs/cgroup and knows that it is no real root", () => {
  const host = detectCgroupHost(readFrom(NESTED_V2));
  expect(host.mode).toBe("unified");
  expect(host.v2?.mountPoint).toBe("/sys/fs/cgroup");
  expect(host.v2?.isHierarchyRoot).toBe(false);
});

test("detectCgroupHost takes the upper of two mounts on one place", () => {
  const files = {
    ...UNIFIED,
    "/proc/self/mountinfo": `31 23 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw,memory
40 31 0:33 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
`,
    "/proc/self/cgroup": "1:memory:/\n0::/\n",
  };
  expect(detectCgroupHost(readFrom(files)).mode).toBe("unified");
});

test("detectCgroupHost counts a hierarchy once, however often it is mounted", () => {
  const files = {
    ...SYSTEMD_V1,
    "/proc/self/mountinfo": `${SYSTEMD_V1["/proc/self/mountinfo"]}90 25 0:27 / /mnt/cpu rw - cgroup cgroup rw,cpu,cpuacct
91 25 0:22 / /mnt/systemd rw - cgroup cgroup rw,xattr,name=systemd
`,
  };
  expect(detectCgroupHost(readFrom(files))).toEqual(detectCgroupHost(readFrom(SYSTEMD_V1)));
});

test("detectCgroupHost without any cgroup mount is not-supported", () => {
  expect(() => detectCgroupHost(readFrom({ "/proc/self/cgroup": "0::/\n" }))).toThrow(
    expect.objectContaining({ code: "not-supported" }),
  );
});

test("locateController prefers v1, calls blkio io on v2, and finds devices on every v2", () => {
  const unified = detectCgroupHost(readFrom(UNIFIED));
  expect(locateController(unified, "blkio")).toEqual({ version: 2, mountPoint: "/sys/fs/cgroup" });
  expect(locateController(unified, "devices")).toEqual({ version: 2, mountPoint: "/sys/fs/cgroup" });
  expect(locateController(unified, "net_cls")).toBeUndefined();
  const hybrid = detectCgroupHost(readFrom(PLAIN_HYBRID));
  expect(locateController(hybrid, "devices")?.version).toBe(1);
  expect(locateController(hybrid, "hugetlb")).toEqual({ version: 2, mountPoint: "/sys/fs/cgroup/unified" });
});

test("parseProcCgroup keeps colons of a path", () => {
  expect(parseProcCgroup("4:cpu,cpuacct:/a:b\n0::/c\n1:name=x y:/\nbad\n")).toEqual([
    { hierarchyId: 4, controllers: ["cpu", "cpuacct"], path: "/a:b" },
    { hierarchyId: 0, controllers: [], path: "/c" },
    { hierarchyId: 1, controllers: ["name=x y"], path: "/" },
  ]);
});

describe("in a user namespace", () => {
  const inNamespace = (files: Record<string, string>) =>
    readFrom({ ...files, "/proc/self/uid_map": "0 100000 65536\n" });

  test("only hierarchies that one may divide count, and none filters devices by a program", () => {
    const ours = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
    const host = detectCgroupHost(inNamespace(PLAIN_HYBRID), (directory) => ours.includes(directory));
    expect(host).toMatchObject({ mode: "hybrid", withoutDeviceFilters: true, v1: [{ name: "systemd" }] });
    expect([host.v1.length, host.v2?.mountPoint]).toEqual([1, "/sys/fs/cgroup/unified"]);
    const devices = [{ allow: false, access: "rwm" }];
    expect(planCgroup(host, "/a", { devices }).deviceProgram).toBeUndefined();
    expect(planCgroup(detectCgroupHost(readFrom(UNIFIED)), "/a", { devices }).deviceProgram).toBeDefined();
  });

  test("one without any is told who could give it some", () => {
    expect(() => detectCgroupHost(inNamespace(UNIFIED), () => false)).toThrow(
      expect.objectContaining({ code: "not-supported", detail: { hint: expect.stringContaining("Delegate=yes") } }),
    );
  });
});
