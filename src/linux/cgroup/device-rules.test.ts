import { expect, test } from "bun:test";
import { interpretDeviceProgram } from "../../../tests/support/interpret-device-program.ts";
import type { OciDeviceRule } from "../../spec/oci-runtime.ts";
import { compileDeviceProgram, EBPF_INSTRUCTION_BYTES } from "./device-program.ts";
import { compileDeviceRules, defaultDeviceRules, deviceWritesV1, formatException } from "./device-rules.ts";

const DENY_ALL: OciDeviceRule = { allow: false, access: "rwm" };
const ALLOW_ALL: OciDeviceRule = { allow: true, type: "a", major: -1, minor: -1, access: "rwm" };

function exceptionsOf(...rules: OciDeviceRule[]): string[] {
  return compileDeviceRules(rules).exceptions.map(formatException);
}

/** What the compiled program says of an access like "c 1:3 rw". */
function allows(rules: readonly OciDeviceRule[], access: string): boolean {
  const [type, major, minor, letters] = access.split(/[ :]/);
  return interpretDeviceProgram(compileDeviceProgram(compileDeviceRules(rules)), {
    type: type as "b" | "c",
    major: Number(major),
    minor: Number(minor),
    access: letters ?? "",
  });
}

test("compileDeviceRules starts from deny, also without rules", () => {
  expect(compileDeviceRules([])).toEqual({ defaultAllow: false, exceptions: [] });
});

test("compileDeviceRules forgets what came before a rule for all devices", () => {
  const rule: OciDeviceRule = { allow: true, type: "c", major: 1, minor: 3, access: "rw" };
  expect(compileDeviceRules([rule, ALLOW_ALL])).toEqual({ defaultAllow: true, exceptions: [] });
  expect(compileDeviceRules([ALLOW_ALL, rule, DENY_ALL])).toEqual({ defaultAllow: false, exceptions: [] });
});

test("compileDeviceRules passes over the letter that stands for all in cgroup v1's files", () => {
  const device = { type: "c", major: 1, minor: 3 } as const;
  expect(exceptionsOf(DENY_ALL, { allow: true, ...device, access: "rwa" })).toEqual(["c 1:3 rw"]);
  expect(() => exceptionsOf({ allow: true, ...device, access: "rwx" })).toThrow("more than r, w and m");
});

test("compileDeviceRules joins accesses to the same device, and takes them away again", () => {
  const device = { type: "c", major: 1, minor: 3 };
  expect(
    exceptionsOf(DENY_ALL, { allow: true, ...device, access: "r" }, { allow: true, ...device, access: "mw" }),
  ).toEqual(["c 1:3 rwm"]);
  expect(
    exceptionsOf(DENY_ALL, { allow: true, ...device, access: "rwm" }, { allow: false, ...device, access: "w" }),
  ).toEqual(["c 1:3 rm"]);
  expect(exceptionsOf({ allow: true, ...device, access: "r" }, { allow: false, ...device, access: "r" })).toEqual([]);
});

test("compileDeviceRules refuses to take a part out of a wildcard", () => {
  const wide: OciDeviceRule = { allow: true, type: "c", major: 1, access: "rw" };
  const part: OciDeviceRule = { allow: false, type: "c", major: 1, minor: 3, access: "w" };
  expect(() => compileDeviceRules([wide, part])).toThrow(
    'resources.devices[1] "c 1:3 w" takes a part out of "c 1:* rw", which cgroups cannot do',
  );
  expect(() => compileDeviceRules([{ ...wide, access: "m" }, part])).not.toThrow();
  expect(() => compileDeviceRules([ALLOW_ALL, { ...wide, allow: false }, { ...part, allow: true }])).toThrow(
    expect.objectContaining({ code: "invalid" }),
  );
});

test("compileDeviceRules lets a wide rule override narrower ones before it", () => {
  const narrow: OciDeviceRule = { allow: true, type: "c", major: 1, minor: 3, access: "rw" };
  expect(exceptionsOf(narrow, { allow: false, type: "c", access: "w" })).toEqual(["c 1:3 r"]);
  expect(
    exceptionsOf(ALLOW_ALL, { ...narrow, allow: false }, { allow: true, type: "c", major: 1, access: "rwm" }),
  ).toEqual([]);
});

test("compileDeviceRules takes type a with numbers for those devices only, not for all", () => {
  expect(exceptionsOf({ allow: true, type: "a", major: 1, minor: 3, access: "r" })).toEqual(["b 1:3 r", "c 1:3 r"]);
  expect(compileDeviceRules([{ allow: true, type: "a", access: "r" }]).defaultAllow).toBe(false);
});

test("compileDeviceRules refuses malformed rules", () => {
  const bad: [OciDeviceRule, string][] = [
    [{ allow: true, type: "p", access: "r" }, 'resources.devices[0].type is "p", not a, b or c'],
    [{ allow: true, type: "c", access: "rx" }, 'resources.devices[0].access "rx" has more than r, w and m'],
    [{ allow: true, type: "c", major: 1.5, access: "r" }, "resources.devices[0].major is 1.5, not a number of 32 bits"],
    [{ allow: true, type: "c", minor: 2 ** 32, access: "r" }, "resources.devices[0].minor is 4294967296, not a number"],
    [{ allow: true, type: "c", major: 1, minor: 3 }, "resources.devices[0].access is missing"],
  ];
  for (const [rule, message] of bad) expect(() => compileDeviceRules([rule])).toThrow(message);
  expect(() => compileDeviceRules(new Array(1025).fill(DENY_ALL))).toThrow("has 1025 rules; at most 1024 can be");
});

test("deviceWritesV1 sets the default first", () => {
  expect(deviceWritesV1(compileDeviceRules(defaultDeviceRules())).map((write) => write.join(" "))).toEqual([
    "devices.deny a",
    "devices.allow b *:* m",
    "devices.allow c *:* m",
    "devices.allow c 1:3 rwm",
    "devices.allow c 1:5 rwm",
    "devices.allow c 1:7 rwm",
    "devices.allow c 1:8 rwm",
    "devices.allow c 1:9 rwm",
    "devices.allow c 5:0 rwm",
    "devices.allow c 5:1 rwm",
    "devices.allow c 5:2 rwm",
    "devices.allow c 10:200 rwm",
    "devices.allow c 136:* rwm",
  ]);
  const denied: OciDeviceRule = { allow: false, type: "b", major: 8, access: "w" };
  expect(deviceWritesV1(compileDeviceRules([ALLOW_ALL, denied]))).toEqual([
    ["devices.allow", "a"],
    ["devices.deny", "b 8:* w"],
  ]);
});

test("compileDeviceProgram lets Docker's default devices be used, any be made, and no other be opened", () => {
  const rules = defaultDeviceRules();
  for (const access of ["c 1:3 rw", "c 1:5 r", "c 136:77 rw", "c 5:2 rwm", "b 8:0 m", "c 4095:1048575 m"])
    expect([access, allows(rules, access)]).toEqual([access, true]);
  for (const access of ["b 8:0 r", "b 8:0 rm", "c 1:1 r", "b 1:3 r", "c 10:229 rw", "c 135:0 r"])
    expect([access, allows(rules, access)]).toEqual([access, false]);
});

test("compileDeviceProgram: an allowed part of an access is not enough", () => {
  const rules: OciDeviceRule[] = [DENY_ALL, { allow: true, type: "c", major: 1, minor: 3, access: "r" }];
  expect(allows(rules, "c 1:3 r")).toBe(true);
  expect(allows(rules, "c 1:3 w")).toBe(false);
  expect(allows(rules, "c 1:3 rw")).toBe(false);
});

test("compileDeviceProgram: a denied part of an access is enough", () => {
  const rules: OciDeviceRule[] = [ALLOW_ALL, { allow: false, type: "c", major: 1, minor: 3, access: "w" }];
  expect(allows(rules, "c 1:3 r")).toBe(true);
  expect(allows(rules, "c 1:3 w")).toBe(false);
  expect(allows(rules, "c 1:3 rw")).toBe(false);
  expect(allows(rules, "b 1:3 w")).toBe(true);
});

test("compileDeviceProgram compares numbers above 2^31 without a sign", () => {
  const rules: OciDeviceRule[] = [DENY_ALL, { allow: true, type: "b", major: 0xffffffff, minor: 1, access: "rwm" }];
  expect(allows(rules, "b 4294967295:1 r")).toBe(true);
  expect(allows(rules, "b 2147483647:1 r")).toBe(false);
});

test("compileDeviceProgram is as small as its rules", () => {
  expect(compileDeviceProgram({ defaultAllow: false, exceptions: [] }).length).toBe(8 * EBPF_INSTRUCTION_BYTES);
  const most = { type: "c" as const, major: 1, minor: 3, access: 1 };
  expect(compileDeviceProgram({ defaultAllow: false, exceptions: [most] }).length).toBe(16 * EBPF_INSTRUCTION_BYTES);
});
