import { describe, expect, test } from "bun:test";
import { OpList } from "../linux/program/builder.ts";
import type { NamespaceType, OciConfig, OciLinux } from "../spec/oci-runtime.ts";
import {
  CLONE,
  cloneFlags,
  enterNamespaces,
  finishNamespaces,
  mapIds,
  openNamespaces,
  planNamespaces,
} from "./namespaces.ts";

const ALL = Object.keys(CLONE) as NamespaceType[];

function configOf(linux: OciLinux, rest: Partial<OciConfig> = {}): OciConfig {
  return { ociVersion: "1.2.0", linux, ...rest };
}

const created = (...types: NamespaceType[]): OciLinux => ({ namespaces: types.map((type) => ({ type })) });

describe("planNamespaces", () => {
  test("sorts what is created from what is joined", () => {
    const plan = planNamespaces(
      configOf({
        namespaces: [{ type: "mount" }, { type: "pid", path: "" }, { type: "network", path: "/proc/1/ns/net" }],
      }),
    );
    expect([...plan.created]).toEqual(["mount", "pid"]);
    expect([...plan.joined]).toEqual([["network", "/proc/1/ns/net"]]);
  });

  test("refuses unknown types, doubles and relative paths, naming the entry", () => {
    const invalid = (namespaces: OciLinux["namespaces"] & object, where: string) =>
      expect(() => planNamespaces(configOf({ namespaces }))).toThrow(
        expect.objectContaining({ code: "invalid", message: expect.stringContaining(where) }),
      );
    invalid([{ type: "mount" }, { type: "nonsense" as NamespaceType }], "linux.namespaces[1]");
    invalid([{ type: "toString" as NamespaceType }], "linux.namespaces[0]");
    invalid([{ type: "mount" }, { type: "mount", path: "/x" }], "linux.namespaces[1]");
    invalid([{ type: "network", path: "net" }], 'linux.namespaces[0].path "net"');
  });

  test("needs a mount namespace of its own, and a namespace for what is set in it", () => {
    expect(() => planNamespaces(configOf(created("pid")))).toThrow(expect.objectContaining({ code: "not-supported" }));
    for (const paths of [{ maskedPaths: ["/proc/kcore"] }, { readonlyPaths: ["/proc/sys"] }])
      expect(() => planNamespaces(configOf({ ...created("pid"), ...paths }))).toThrow(
        "unable to restrict sys entries without a private MNT namespace",
      );
    expect(() => planNamespaces(configOf(created("mount"), { hostname: "x" }))).toThrow(/uts/);
    const timeOffsets = { boottime: { secs: 1, nanosecs: 0 } };
    expect(() => planNamespaces(configOf({ ...created("mount"), timeOffsets }))).toThrow(/time namespace/);
    planNamespaces(configOf({ ...created("mount"), timeOffsets: {} }));
  });
});

describe("cloneFlags", () => {
  test("is the sum of what is created, for every set, without cgroup, which comes later", () => {
    for (let bits = 0; bits < 2 ** ALL.length; bits++) {
      const types = ALL.filter((_, index) => (bits >> index) & 1);
      if (!types.includes("mount")) continue;
      const config = configOf(created(...types));
      const sum = types.filter((type) => type !== "cgroup").reduce((flags, type) => flags + CLONE[type], 0);
      expect(cloneFlags(config, planNamespaces(config))).toBe(sum);
    }
  });

  test("leaves time out if clocks are set: that namespace exists before the clone", () => {
    const config = configOf({ ...created("mount", "time"), timeOffsets: { monotonic: { secs: -1, nanosecs: 2 } } });
    const plan = planNamespaces(config);
    expect(cloneFlags(config, plan)).toBe(CLONE.mount);
    const host = new OpList("host");
    openNamespaces(host, config, plan);
    expect(host.ops).toMatchObject([
      { name: "unshare", args: [CLONE.time] },
      { kind: "write", dir: "procfs", path: "self/timens_offsets", data: "monotonic -1 2\n" },
    ]);
  });
});

describe("a user namespace", () => {
  const mappings = [
    { containerID: 0, hostID: 100_000, size: 10 },
    { containerID: 10, hostID: 200_000, size: 5 },
  ];
  const config = configOf({ ...created("mount", "user"), uidMappings: mappings, gidMappings: mappings });

  test("is mapped from outside, and the child waits for that before it becomes its root", () => {
    const plan = planNamespaces(config);
    const host = new OpList("host");
    mapIds(host, config, plan);
    expect(host.ops).toMatchObject([
      { kind: "writeByPid", suffix: "/uid_map", data: "0 100000 10\n10 200000 5\n" },
      { kind: "writeByPid", suffix: "/gid_map", data: "0 100000 10\n10 200000 5\n" },
      { kind: "send" },
    ]);
    const init = new OpList("init");
    enterNamespaces(init, config, plan, () => {});
    expect(init.ops.slice(0, 3)).toMatchObject([{ kind: "receive" }, { name: "setresgid" }, { name: "setresuid" }]);
  });

  test("without mappings is refused", () => {
    const without = configOf(created("mount", "user"));
    expect(() => mapIds(new OpList("host"), without, planNamespaces(without))).toThrow(/needs linux.uidMappings/);
  });

  test("that is joined comes after the others that are, and before the new ones, which are to belong to it", () => {
    const joined = configOf({
      namespaces: [{ type: "mount" }, { type: "network", path: "/n" }, { type: "user", path: "/u" }],
    });
    const init = new OpList("init");
    enterNamespaces(init, joined, planNamespaces(joined), () => {});
    expect(cloneFlags(joined, planNamespaces(joined))).toBe(0);
    expect(init.ops).toMatchObject([
      { name: "setns", args: [{ slot: "ns.network" }, CLONE.network] },
      { name: "setns", args: [{ slot: "ns.user" }, CLONE.user] },
      { name: "setresgid" },
      { name: "setresuid" },
      { name: "unshare", args: [CLONE.mount] },
      { kind: "rebirth" },
    ]);
  });
});

test("a joined pid namespace is entered before the clone: its first process is born there", () => {
  const config = configOf({ namespaces: [{ type: "mount" }, { type: "pid", path: "/p" }] });
  const host = new OpList("host");
  openNamespaces(host, config, planNamespaces(config));
  expect(host.ops.at(-1)).toMatchObject({ name: "setns", args: [{ slot: "ns.pid" }, CLONE.pid] });
});

test("loopback is brought up in a new network namespace only", () => {
  for (const [linux, up] of [
    [created("mount", "network"), true],
    [created("mount"), false],
    [{ namespaces: [{ type: "mount" }, { type: "network", path: "/n" }] }, false],
  ] as [OciLinux, boolean][]) {
    const init = new OpList("init");
    const config = configOf(linux);
    finishNamespaces(init, config, planNamespaces(config));
    expect(init.ops.some((op) => op.kind === "call" && op.name === "ioctl.SIOCSIFFLAGS")).toBe(up);
  }
});
