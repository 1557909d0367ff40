import { describe, expect, test } from "bun:test";
import { LighterError } from "../base/errors.ts";
import { SECCOMP_MAX_NAMES, SECCOMP_MAX_RULES, SECCOMP_PROFILE_MAX_BYTES } from "../base/limits.ts";
import {
  type DockerSeccompRule,
  parseDockerSeccompProfile,
  type SeccompTarget,
  toOciSeccomp,
} from "./docker-seccomp.ts";

function errorOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof LighterError && error.code === "invalid") return error.message;
    throw error;
  }
  return "no error";
}

describe("parseDockerSeccompProfile", () => {
  test("reads every field", () => {
    const profile = {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
      listenerPath: "/run/agent.sock",
      listenerMetadata: "m",
      syscalls: [
        {
          names: ["socket"],
          action: "SCMP_ACT_ERRNO",
          errnoRet: 97,
          args: [{ index: 0, value: 40, valueTwo: 0, op: "SCMP_CMP_EQ" }],
          comment: "why",
          includes: { caps: ["CAP_NET_RAW"], arches: ["amd64"], minKernel: "4.8" },
          excludes: { caps: ["CAP_SYS_ADMIN"] },
        },
      ],
    };
    expect(parseDockerSeccompProfile(JSON.stringify(profile))).toEqual(profile);
  });

  test("reads an old profile's single name", () => {
    const profile = parseDockerSeccompProfile(
      '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"name":"read","action":"SCMP_ACT_ALLOW","args":null}]}',
    );
    expect(profile.syscalls).toEqual([{ names: ["read"], action: "SCMP_ACT_ALLOW" }]);
  });

  test("takes keys in any case, ignores unknown ones, and null is as absent, as Docker does", () => {
    const profile = parseDockerSeccompProfile(
      '{"DefaultAction":"SCMP_ACT_ALLOW","architectures":null,"archMap":[{"architecture":"a","subArchitectures":null}],' +
        '"x":{},"SYSCALLS":[{"Names":["read"],"ACTION":"SCMP_ACT_ERRNO","errnoRet":null,"includes":null,"excludes":{}}]}',
    );
    expect(profile).toEqual({
      defaultAction: "SCMP_ACT_ALLOW",
      archMap: [{ architecture: "a", subArchitectures: [] }],
      syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO", excludes: {} }],
    });
  });

  test("keeps argument values of 64 bits exact", () => {
    const { syscalls } = parseDockerSeccompProfile(
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ERRNO",' +
        '"args":[{"index":1,"value":18446744073709551615,"valueTwo":9007199254740993,"op":"SCMP_CMP_MASKED_EQ"}]}]}',
    );
    expect(syscalls[0]?.args).toEqual([
      { index: 1, value: 18446744073709551615n, valueTwo: 9007199254740993n, op: "SCMP_CMP_MASKED_EQ" },
    ]);
  });

  const rule = (text: string) => `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[${text}]}`;
  const arg = (text: string) => rule(`{"names":["a"],"action":"b","args":[${text}]}`);
  test.each([
    ["[]", "seccomp profile: the document is not an object"],
    ["null", "seccomp profile: the document is not an object"],
    ["{}", "seccomp profile: defaultAction is missing"],
    ['{"defaultAction":1}', "seccomp profile: defaultAction is not a string"],
    ['{"defaultAction":"A","syscalls":{}}', "seccomp profile: syscalls is not a list"],
    ['{"defaultAction":"A","defaultErrnoRet":-1}', "seccomp profile: defaultErrnoRet is not an unsigned integer"],
    ['{"defaultAction":"A","defaultErrnoRet":1.5}', "seccomp profile: defaultErrnoRet is not an unsigned integer"],
    ['{"defaultAction":"A","flags":["a",1]}', "seccomp profile: flags[1] is not a string"],
    ['{"defaultAction":"A","archMap":[[]]}', "seccomp profile: archMap[0] is not an object"],
    [
      '{"defaultAction":"A","archMap":[{"architecture":"a"}],"architectures":["b"]}',
      "seccomp profile: architectures and archMap are both given: use one of them",
    ],
    [rule("3"), "seccomp profile: syscalls[0] is not an object"],
    [rule('{},{"names":"read"}'), "seccomp profile: syscalls[1].names is not a list"],
    [rule('{"name":"a","names":["b"]}'), "seccomp profile: syscalls[0] has both name and names: use one of them"],
    [rule('{"includes":[]}'), "seccomp profile: syscalls[0].includes is not an object"],
    [rule('{"includes":{"caps":"CAP_BPF"}}'), "seccomp profile: syscalls[0].includes.caps is not a list"],
    [
      rule('{"excludes":{"minKernel":"4.8.1"}}'),
      'seccomp profile: syscalls[0].excludes.minKernel "4.8.1" is not of the form "<kernel>.<major>"',
    ],
    [
      rule('{"excludes":{"minKernel":"0.0"}}'),
      'seccomp profile: syscalls[0].excludes.minKernel "0.0" is not of the form "<kernel>.<major>"',
    ],
    [
      rule('{"excludes":{"minKernel":"256.1"}}'),
      'seccomp profile: syscalls[0].excludes.minKernel "256.1" is not of the form "<kernel>.<major>"',
    ],
    [arg('{"index":"0"}'), "seccomp profile: syscalls[0].args[0].index is not an unsigned integer"],
    [arg('{"value":-1}'), "seccomp profile: syscalls[0].args[0].value is not an unsigned 64-bit integer"],
    [
      arg('{"value":18446744073709551616}'),
      "seccomp profile: syscalls[0].args[0].value is not an unsigned 64-bit integer",
    ],
    [arg('{"value":1e300}'), "seccomp profile: syscalls[0].args[0].value is not an unsigned 64-bit integer"],
    [arg('{"op":7}'), "seccomp profile: syscalls[0].args[0].op is not a string"],
  ])("refuses %s", (json, message) => {
    expect(errorOf(() => parseDockerSeccompProfile(json))).toBe(message);
  });

  test.each(["", "{", "{]", '{"a":1}x', "\u0000", "[".repeat(100_000), "[".repeat(100_000) + "]".repeat(100_000)])(
    "refuses text that is not JSON, or nested too deep (%#)",
    (json) => {
      expect(errorOf(() => parseDockerSeccompProfile(json))).toStartWith("seccomp profile: ");
    },
  );

  test("refuses what is beyond the limits, by name", () => {
    const rules = (count: number, names: number) =>
      rule(
        Array(count)
          .fill(`{"names":${JSON.stringify(Array(names).fill("a"))},"action":"b"}`)
          .join(","),
      );
    expect(errorOf(() => parseDockerSeccompProfile(" ".repeat(SECCOMP_PROFILE_MAX_BYTES + 1)))).toBe(
      `seccomp profile: longer than ${SECCOMP_PROFILE_MAX_BYTES} bytes`,
    );
    expect(errorOf(() => parseDockerSeccompProfile(rules(SECCOMP_MAX_RULES + 1, 0)))).toBe(
      `seccomp profile: syscalls has ${SECCOMP_MAX_RULES + 1} rules, more than ${SECCOMP_MAX_RULES}`,
    );
    expect(errorOf(() => parseDockerSeccompProfile(rules(2, SECCOMP_MAX_NAMES / 2 + 1)))).toBe(
      `seccomp profile: syscalls name ${SECCOMP_MAX_NAMES + 2} system calls, more than ${SECCOMP_MAX_NAMES}`,
    );
  });
});

describe("toOciSeccomp", () => {
  const target: SeccompTarget = {
    arch: "amd64",
    capabilities: ["CAP_KILL", "CAP_BPF"],
    kernelVersion: "5.10.0-8-amd64",
  };
  const has = (conditions: Pick<DockerSeccompRule, "includes" | "excludes">, on = target) =>
    toOciSeccomp(
      { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW", ...conditions }] },
      on,
    ).syscalls!.length === 1;

  test.each([
    ["nothing", {}, true],
    ["a capability that is there", { caps: ["CAP_BPF"] }, true],
    ["a capability that is not", { caps: ["CAP_SYS_ADMIN"] }, false],
    ["two capabilities of which one is there", { caps: ["CAP_BPF", "CAP_SYS_ADMIN"] }, false],
    ["this architecture among others", { arches: ["arm64", "amd64"] }, true],
    ["another architecture", { arches: ["arm64"] }, false],
    ["an older kernel", { minKernel: "4.8" }, true],
    ["this kernel", { minKernel: "5.10" }, true],
    ["a newer one", { minKernel: "5.11" }, false],
    ["a newer one, by its first number", { minKernel: "6.1" }, false],
    ["all of it", { caps: ["CAP_KILL"], arches: ["amd64"], minKernel: "5.1" }, true],
    ["all but one", { caps: ["CAP_KILL"], arches: ["amd64"], minKernel: "6.0" }, false],
  ])("includes %s", (_, includes, wanted) => {
    expect(has({ includes })).toBe(wanted);
  });

  test.each([
    ["nothing", {}, true],
    ["a capability that is there", { caps: ["CAP_BPF", "CAP_SYS_ADMIN"] }, false],
    ["one that is not", { caps: ["CAP_SYS_ADMIN"] }, true],
    ["this architecture", { arches: ["amd64"] }, false],
    ["another", { arches: ["s390x"] }, true],
    ["a kernel as new as this", { minKernel: "5.10" }, false],
    ["a newer one", { minKernel: "6.0" }, true],
    ["another architecture, but a capability that is there", { arches: ["arm64"], caps: ["CAP_KILL"] }, false],
  ])("excludes %s", (_, excludes, wanted) => {
    expect(has({ excludes })).toBe(wanted);
  });

  test("includes and excludes must both agree", () => {
    expect(has({ includes: { caps: ["CAP_BPF"] }, excludes: { caps: ["CAP_KILL"] } })).toBe(false);
  });

  test("takes the architectures of the machine's own entry of archMap", () => {
    const archMap = [
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    ];
    const profile = { defaultAction: "SCMP_ACT_ERRNO", archMap, syscalls: [] };
    expect(toOciSeccomp(profile, target).architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    expect(toOciSeccomp(profile, { ...target, arch: "arm64" }).architectures).toEqual([
      "SCMP_ARCH_AARCH64",
      "SCMP_ARCH_ARM",
    ]);
  });

  test("passes on what the runtime-spec has, and nothing else", () => {
    const oci = toOciSeccomp(
      {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 38,
        architectures: ["SCMP_ARCH_X86"],
        flags: [],
        syscalls: [
          { names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 5, comment: "c", includes: {}, excludes: {} },
        ],
      },
      target,
    );
    expect(oci).toEqual({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      architectures: ["SCMP_ARCH_X86"],
      flags: [],
      syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 5 }],
    });
  });
});
