import { describe, expect, test } from "bun:test";
import { NESTING_LABEL } from "../spec/machine-labels.ts";
import { machineDefaults } from "./defaults.ts";
import { machineMounts } from "./mounts.ts";
import { parseNesting } from "./nesting.ts";

describe("a machine for engines in it", () => {
  const labelled = (value: string) => ({ [NESTING_LABEL]: value });

  test("is asked for by a label, and by no other word", () => {
    expect([{}, labelled("false"), labelled("true")].map(parseNesting)).toEqual([false, false, true]);
    for (const value of ["", "1", "TRUE"])
      expect(() => parseNesting(labelled(value))).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  test("has volumes where they keep their files, beside those that were asked for", () => {
    const volumes = (config: object) => machineDefaults(config, {}, true).config.Volumes;
    expect(volumes({ Volumes: { "/data": {} } })).toEqual({ "/data": {} });
    expect(Object.keys(volumes({ Volumes: { "/data": {} }, Labels: labelled("true") })!)).toEqual([
      "/var/lib/containerd",
      "/var/lib/containers",
      "/var/lib/docker",
      "/var/lib/lighter",
      "/data",
    ]);
  });

  test("has a whole /proc and /sys", () => {
    const mounts = (nesting: boolean) =>
      machineMounts([], { host: "/h", bootId: "/b" }, { cgroups: "unified", nesting })
        .map(({ destination }) => destination)
        .filter((destination) => destination.startsWith("/dev/"));
    expect(mounts(false)).toEqual([]);
    expect(mounts(true)).toEqual(["/dev/.lxc/proc", "/dev/.lxc/sys"]);
  });
});
