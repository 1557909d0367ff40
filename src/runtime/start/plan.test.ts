import { describe, expect, test } from "bun:test";
import { HYBRID } from "../../../tests/support/program-cases.ts";
import type { NamespaceType, OciLinux } from "../../spec/oci-runtime.ts";
import type { StartRequest } from "../types.ts";
import { planStart } from "./plan.ts";

function request(linux: OciLinux = {}, rest: Partial<StartRequest> = {}): StartRequest {
  return {
    id: "x",
    config: {
      ociVersion: "1.2.0",
      process: { cwd: "/", args: ["/bin/true"] },
      root: { path: "/root" },
      linux: { namespaces: [{ type: "mount" }], cgroupsPath: "/lighter/x", ...linux },
    },
    rootfs: [{ type: "overlay", source: "overlay", data: "lowerdir=/a:/b" }] as unknown as StartRequest["rootfs"],
    runDirectory: "/run/x",
    stdio: { terminal: false, stdin: false },
    attach: [],
    ...rest,
  };
}

const namespaces = (...types: (NamespaceType | { type: NamespaceType; path: string })[]): OciLinux => ({
  namespaces: types.map((type) => (typeof type === "string" ? { type } : type)),
});

describe("planStart", () => {
  test("leaves the request as it was, and decides the same each time", () => {
    const asked = request(namespaces("mount", "pid", "user"));
    const before = structuredClone(asked);
    const plan = planStart(asked, HYBRID);
    expect(asked).toEqual(before);
    expect(planStart(asked, HYBRID)).toEqual(plan);
  });

  test("tells a user namespace that is made from one that is joined, and from none", () => {
    const userOf = (linux: OciLinux) => planStart(request(linux), HYBRID).userNamespace;
    expect(userOf(namespaces("mount"))).toBeUndefined();
    expect(userOf(namespaces("mount", "user"))).toBe("created");
    expect(userOf(namespaces("mount", { type: "user", path: "/proc/7/ns/user" }))).toBe("joined");
  });

  test("makes a part of the cgroup late only for who has its rights on the host until then", () => {
    const lateOf = (linux: OciLinux) => planStart(request(linux), HYBRID).ownCgroup?.late !== undefined;
    expect(lateOf(namespaces("mount"))).toBe(true);
    expect(lateOf(namespaces("mount", "cgroup"))).toBe(false);
    expect(lateOf(namespaces("mount", "user"))).toBe(false);
  });

  test("makes no cgroup, and holds no root, where somebody else is to place the process", () => {
    const own = planStart(request(), HYBRID);
    expect([own.ownCgroup?.plan, own.holdsRoot]).toEqual([own.cgroup, true]);
    const placed = planStart(request({}, { placeInCgroup: async () => {} }), HYBRID);
    expect([placed.cgroup, placed.ownCgroup, placed.holdsRoot]).toEqual([own.cgroup, undefined, false]);
  });
});
