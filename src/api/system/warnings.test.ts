import { expect, test } from "bun:test";
import { HYBRID_HOST, UNIFIED_HOST } from "../../../tests/golden/config/host.ts";
import { warningsOfHost } from "./warnings.ts";

const without = (host: typeof HYBRID_HOST, ...names: string[]) =>
  warningsOfHost({ ...host, cgroup: { ...host.cgroup, ...Object.fromEntries(names.map((name) => [name, false])) } });

test("limits that cgroups lack are named as Docker names them, by version", () => {
  expect(without(HYBRID_HOST)).toEqual([]);
  expect(without(UNIFIED_HOST)).toEqual([]);
  expect(without(HYBRID_HOST, "memoryLimit", "oomKillDisable", "cpuCfs")).toEqual([
    "WARNING: No memory limit support",
    "WARNING: No oom kill disable support",
    "WARNING: No cpu cfs quota support",
    "WARNING: No cpu cfs period support",
  ]);
  expect(without(UNIFIED_HOST, "oomKillDisable", "cpuset", "blkioThrottle")).toEqual([
    "WARNING: No cpuset support",
    "WARNING: No io.max (rbps) support",
    "WARNING: No io.max (wbps) support",
    "WARNING: No io.max (riops) support",
    "WARNING: No io.max (wiops) support",
  ]);
});

test("a daemon in a user namespace says so", () => {
  const rights = { ...HYBRID_HOST.rights, inUserNamespace: true, uids: 65536 };
  expect(warningsOfHost({ ...HYBRID_HOST, rights })).toEqual([
    expect.stringMatching(/^WARNING: Running in a user namespace of 65536 ids: /),
  ]);
});
