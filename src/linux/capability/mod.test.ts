import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { testIf } from "../../../tests/support/test-if.ts";
import { LighterError } from "../../base/errors.ts";
import {
  CAPABILITIES,
  type Capability,
  capabilitiesOf,
  capabilityMask,
  capabilityNumber,
  DOCKER_DEFAULT_CAPABILITIES,
  encodeCapsetData,
  encodeCapsetHeader,
  LAST_CAPABILITY,
  parseCapability,
  tweakCapabilities,
} from "./mod.ts";

const HEADER = "/usr/include/linux/capability.h";
let header: string | undefined;
try {
  header = readFileSync(HEADER, "utf8");
} catch {}

testIf(header !== undefined, `no ${HEADER} here`)(`capability numbers are those of ${HEADER}`, () => {
  const inHeader = [...header!.matchAll(/^#define (CAP_\w+)\s+(\d+)$/gm)].map((match) => match[1]!);
  expect(inHeader).toEqual([...CAPABILITIES]);
});

test("the last capability is CAP_CHECKPOINT_RESTORE, number 40", () => {
  expect(LAST_CAPABILITY).toBe(40);
  expect(CAPABILITIES[40]).toBe("CAP_CHECKPOINT_RESTORE");
  expect(capabilityNumber("CAP_SYS_ADMIN")).toBe(21);
});

describe("parseCapability", () => {
  test("takes any case, with and without the prefix", () => {
    for (const name of ["net_admin", "NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN", "Cap_Net_Admin"])
      expect(parseCapability(name)).toBe("CAP_NET_ADMIN");
  });

  test.each([
    ["foo", 'unknown capability: "CAP_FOO"'],
    ["", 'unknown capability: "CAP_"'],
    ["CAP_", 'unknown capability: "CAP_"'],
    ["CAP_CAP_KILL", 'unknown capability: "CAP_CAP_KILL"'],
    [" kill", 'unknown capability: "CAP_ KILL"'],
    ["constructor", 'unknown capability: "CAP_CONSTRUCTOR"'],
  ])("refuses %j with Docker's text", (name, message) => {
    expect(() => parseCapability(name)).toThrow(new LighterError("invalid", message));
  });
});

describe("masks", () => {
  test("Docker's default set is the mask that a default container shows in /proc/self/status", () => {
    expect(DOCKER_DEFAULT_CAPABILITIES.length).toBe(14);
    expect(capabilityMask(DOCKER_DEFAULT_CAPABILITIES).toString(16).padStart(16, "0")).toBe("00000000a80425fb");
  });

  test("all capabilities are the mask of a privileged container", () => {
    expect(capabilityMask(CAPABILITIES)).toBe(0x1ffffffffffn);
  });

  test("a mask and its set are each other's inverse, for every single capability and for all", () => {
    for (const capability of CAPABILITIES) expect(capabilitiesOf(capabilityMask([capability]))).toEqual([capability]);
    expect(capabilitiesOf(capabilityMask(CAPABILITIES))).toEqual([...CAPABILITIES]);
    expect(capabilitiesOf(0n)).toEqual([]);
  });

  test("bits of capabilities we do not know are left out", () => {
    expect(capabilitiesOf((1n << 63n) | 1n)).toEqual(["CAP_CHOWN"]);
  });
});

describe("tweakCapabilities", () => {
  const basics: Capability[] = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"];

  test.each([
    ["nothing to change", {}, basics],
    ["an add", { capAdd: ["net_admin"] }, [...basics, "CAP_NET_ADMIN"]],
    ["an add that is there already", { capAdd: ["KILL", "CAP_KILL"] }, basics],
    ["a drop", { capDrop: ["CAP_KILL"] }, ["CAP_CHOWN", "CAP_SETUID"]],
    ["a drop of one that is not there", { capDrop: ["BPF"] }, basics],
    ["one in both: the add wins", { capAdd: ["kill"], capDrop: ["kill"] }, ["CAP_CHOWN", "CAP_SETUID", "CAP_KILL"]],
    ["drop ALL", { capDrop: ["all"] }, []],
    ["drop ALL, add some", { capAdd: ["mknod", "chown"], capDrop: ["ALL"] }, ["CAP_MKNOD", "CAP_CHOWN"]],
    ["drop ALL and one that is added", { capAdd: ["mknod"], capDrop: ["ALL", "mknod"] }, ["CAP_MKNOD"]],
    ["add ALL", { capAdd: ["All"] }, [...CAPABILITIES]],
    ["add ALL, drop one", { capAdd: ["ALL"], capDrop: ["kill"] }, CAPABILITIES.filter((name) => name !== "CAP_KILL")],
    ["add ALL, drop ALL: the add wins", { capAdd: ["ALL"], capDrop: ["ALL"] }, [...CAPABILITIES]],
    ["privileged, whatever is dropped", { privileged: true, capDrop: ["ALL"] }, [...CAPABILITIES]],
    ["add ALL where only some are available", { capAdd: ["ALL"], available: basics }, basics],
  ] as const)("%s", (_, changes, expected) => {
    expect(tweakCapabilities(basics, changes)).toEqual([...expected]);
  });

  test("a bad name is refused with the option it came by, as Docker does", () => {
    expect(() => tweakCapabilities(basics, { capAdd: ["foo"] })).toThrow(
      new LighterError("invalid", 'invalid CapAdd: unknown capability: "CAP_FOO"'),
    );
    expect(() => tweakCapabilities(basics, { capDrop: ["cap_all"], capAdd: ["ALL"] })).toThrow(
      new LighterError("invalid", 'invalid CapDrop: unknown capability: "CAP_ALL"'),
    );
  });
});

describe("capset(2) encoding", () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

  test("the header is version 3 for the calling thread", () => {
    expect(hex(encodeCapsetHeader())).toBe("2205082000000000");
  });

  test("the data has the low words of the three sets first, then the high words", () => {
    const data = encodeCapsetData({
      effective: capabilityMask(["CAP_CHOWN", "CAP_BPF"]),
      permitted: capabilityMask(["CAP_SETFCAP"]),
      inheritable: capabilityMask(["CAP_MAC_OVERRIDE"]),
    });
    expect(hex(data)).toBe("010000000000008000000000" + "800000000000000001000000");
  });
});
