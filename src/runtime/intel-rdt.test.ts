import { expect, test } from "bun:test";
import { HYBRID } from "../../tests/support/program-cases.ts";
import { OpList } from "../linux/program/builder.ts";
import { joinRdtGroup, makeRdtGroup, planIntelRdt, rdtLeftovers, removeRdtGroup } from "./intel-rdt.ts";

/* No machine of ours has this hardware: the test checks which files would be written. */

const FILES: Record<string, string> = {
  "/proc/self/mountinfo": "25 1 0:24 / /sys/fs/resctrl rw,nosuid,relatime shared:9 - resctrl resctrl rw\n",
  "/sys/fs/resctrl/gold/schemata": "    L3:0=fff;1=fff\n    MB:0=100;1=100\n",
  "/sys/fs/resctrl/info/L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n",
};
const host = { ...HYBRID, readText: (path: string) => FILES[path] };
const configOf = (intelRdt: Record<string, unknown>) => ({ ociVersion: "1.2.0", linux: { intelRdt } });
const plan = (intelRdt: Record<string, unknown>) => planIntelRdt(configOf(intelRdt), host, "web");

test("without intelRdt nothing of resctrl is touched", () => {
  expect(planIntelRdt({ ociVersion: "1.2.0", linux: {} }, host, "web")).toBeUndefined();
  const ops = new OpList("host");
  makeRdtGroup(ops, undefined);
  joinRdtGroup(ops, undefined);
  removeRdtGroup(ops, undefined);
  expect(ops.ops).toEqual([]);
});

test("a group of the container's own is made, given its schemata, joined, and removed", () => {
  const made = plan({ l3CacheSchema: "L3:0=f0\nMB:0=10", memBwSchema: "MB:0=20", enableCMT: true });
  expect(made).toEqual({
    directory: "/sys/fs/resctrl/web",
    make: true,
    schemata: "L3:0=f0\nMB:0=20\n",
    monitor: "/sys/fs/resctrl/web/mon_groups/web",
  });
  const ops = new OpList("host");
  makeRdtGroup(ops, made);
  joinRdtGroup(ops, made);
  removeRdtGroup(ops, made);
  expect(ops.ops).toMatchObject([
    { name: "mkdirat", args: [-100, { text: "/sys/fs/resctrl/web" }, 0o755], out: "made rdt group" },
    { kind: "write", path: "/sys/fs/resctrl/web/schemata", data: "L3:0=f0\nMB:0=20\n" },
    { name: "mkdirat", args: [-100, { text: "/sys/fs/resctrl/web/mon_groups/web" }, 0o755] },
    { kind: "write", path: "/sys/fs/resctrl/web/tasks", data: "0" },
    { kind: "write", path: "/sys/fs/resctrl/web/mon_groups/web/tasks", data: "0" },
    { name: "unlinkat", guard: "made rdt monitor" },
    { name: "unlinkat", guard: "made rdt group" },
  ]);
  const leftovers = (closID: string) => rdtLeftovers(configOf({ closID }), host, "web");
  expect(leftovers("")).toEqual(["/sys/fs/resctrl/web/mon_groups/web", "/sys/fs/resctrl/web"]);
  expect(leftovers("gold")).toEqual(["/sys/fs/resctrl/gold/mon_groups/web"]);
});

test("a class that is there is joined if it is as asked for, and neither changed nor removed", () => {
  const joined = { directory: "/sys/fs/resctrl/gold", make: false, schemata: "" };
  expect(plan({ closID: "gold" })).toEqual(joined);
  expect(plan({ closID: "gold", l3CacheSchema: "L3:0=fff;1=fff" })).toEqual(joined);
  expect(plan({ closID: "gold", l3CacheSchema: "L3: 1=0fff", memBwSchema: "MB:0=100" })).toEqual(joined);
  expect(planIntelRdt(configOf({ closID: "gold", memBwSchema: "MB:0=7" }), host, "web", true)).toEqual(joined);
  expect(plan({ closID: "new", memBwSchema: "MB:0=50" })).toEqual({
    directory: "/sys/fs/resctrl/new",
    make: true,
    schemata: "MB:0=50\n",
  });
});

test("what cannot be done is refused by name", () => {
  const refused: [Record<string, unknown>, string, RegExp][] = [
    [{ closID: "gold", memBwSchema: "MB:0=1" }, "conflict", /"MB:0=1"/],
    [{ closID: "none" }, "invalid", /closID "none" does not exist/],
    [{ closID: ".." }, "invalid", /closID/],
    [{ closID: "a/b" }, "invalid", /closID/],
    [{ closID: 1 }, "invalid", /closID/],
    [{ schemata: ["L3:0=1"] }, "not-supported", /intelRdt\.schemata/],
  ];
  for (const [settings, code, message] of refused)
    expect(() => plan(settings)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  const without = (path: string) => ({
    ...host,
    readText: (each: string) => (each === path ? undefined : FILES[each]),
  });
  const feature = without("/sys/fs/resctrl/info/L3_MON/mon_features");
  for (const name of ["enableCMT", "enableMBM"])
    expect(() => planIntelRdt(configOf({ [name]: true }), feature, "web")).toThrow(
      expect.objectContaining({ code: "not-supported", message: expect.stringContaining(name) }),
    );
  expect(() => planIntelRdt(configOf({}), without("/proc/self/mountinfo"), "web")).toThrow(
    expect.objectContaining({ code: "not-supported", message: expect.stringContaining("linux.intelRdt") }),
  );
});
