import { beforeAll, describe, expect, test } from "bun:test";
import { decodeFilter, formatAction, interpretFilter } from "../../../tests/support/interpret-filter.ts";
import { LighterError } from "../../base/errors.ts";
import type { OciSeccomp, OciSeccompRule } from "../../spec/oci-runtime.ts";
import { ARCH_INFO, type SeccompArch, syscallNumber } from "./arch.ts";
import { filterOf, loadCompiler } from "./memo.ts";
import { compileSeccomp, type NativeArch } from "./mod.ts";

const X86 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

/** The filter's verdict on one call: "allow" and the like. */
function verdict(
  seccomp: OciSeccomp,
  arch: SeccompArch,
  name: string | number,
  args: (number | bigint)[] = [],
  native: NativeArch = "x86_64",
): string {
  const nr = typeof name === "number" ? name : syscallNumber(arch, name)!;
  const filter = decodeFilter(compileSeccomp(seccomp, native).instructions);
  return formatAction(interpretFilter(filter, { nr, arch: ARCH_INFO[arch].auditArch, args: args.map(BigInt) }).action);
}

const denyAllBut = (...syscalls: OciSeccompRule[]): OciSeccomp => ({
  defaultAction: "SCMP_ACT_ERRNO",
  architectures: X86,
  syscalls,
});

function errorOf(seccomp: unknown): string {
  try {
    compileSeccomp(seccomp as OciSeccomp, "x86_64");
  } catch (error) {
    if (error instanceof LighterError && error.code === "invalid") return error.message;
    throw error;
  }
  return "no error";
}

describe("actions", () => {
  test.each([
    ["SCMP_ACT_ALLOW", undefined, "allow"],
    ["SCMP_ACT_LOG", undefined, "log"],
    ["SCMP_ACT_ERRNO", undefined, "errno(1)"],
    ["SCMP_ACT_ERRNO", 0, "errno"],
    ["SCMP_ACT_ERRNO", 4095, "errno(4095)"],
    ["SCMP_ACT_TRACE", undefined, "trace(1)"],
    ["SCMP_ACT_TRACE", 65535, "trace(65535)"],
    ["SCMP_ACT_TRAP", undefined, "trap"],
    ["SCMP_ACT_KILL", undefined, "kill-thread"],
    ["SCMP_ACT_KILL_THREAD", undefined, "kill-thread"],
    ["SCMP_ACT_KILL_PROCESS", undefined, "kill-process"],
  ])("%s with errnoRet %p", (action, errnoRet, wanted) => {
    const withErrno = errnoRet === undefined ? {} : { errnoRet };
    const rule = { names: ["read"], action, ...withErrno };
    expect(verdict({ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 99, syscalls: [rule] }, "x86_64", "read")).toBe(
      wanted,
    );
  });

  test("a rule with the default action is as if it were not there", () => {
    const seccomp = denyAllBut(
      { names: ["socket"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, op: "SCMP_CMP_EQ", value: 2 }] },
      { names: ["socket"], action: "SCMP_ACT_ALLOW" },
    );
    expect(verdict(seccomp, "x86_64", "socket", [2])).toBe("allow");
  });

  test("an unconditional rule stands over conditional ones, wherever it is", () => {
    const conditional = {
      names: ["socket"],
      action: "SCMP_ACT_TRAP",
      args: [{ index: 0, op: "SCMP_CMP_EQ", value: 2 }],
    };
    const always = { names: ["socket"], action: "SCMP_ACT_ALLOW" };
    expect(verdict(denyAllBut(conditional, always), "x86_64", "socket", [2])).toBe("allow");
    expect(verdict(denyAllBut(always, conditional), "x86_64", "socket", [2])).toBe("allow");
  });
});

describe("architectures", () => {
  const seccomp = denyAllBut({ names: ["mmap", "mmap2", "futex"], action: "SCMP_ACT_ALLOW" });

  test("each has its own numbers; a name it does not have is skipped", () => {
    expect(verdict(seccomp, "x86_64", "mmap")).toBe("allow");
    expect(verdict(seccomp, "i386", "mmap2")).toBe("allow");
    expect(verdict(seccomp, "x32", "futex")).toBe("allow");
    // 9 is mmap on x86_64 and link on i386.
    expect(verdict(seccomp, "i386", 9)).toBe("errno(1)");
  });

  test("one that is not listed is killed, the native one never", () => {
    const onlyI386: OciSeccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86"] };
    expect(verdict(onlyI386, "x86_64", "read")).toBe("allow");
    expect(verdict(onlyI386, "i386", "read")).toBe("allow");
    expect(verdict(onlyI386, "x32", "read")).toBe("kill-thread");
    expect(verdict(onlyI386, "aarch64", "read")).toBe("kill-thread");
  });

  test("without a list there is the native one only", () => {
    const none: OciSeccomp = { defaultAction: "SCMP_ACT_ALLOW" };
    expect(verdict(none, "x86_64", "read")).toBe("allow");
    expect(verdict(none, "i386", "read")).toBe("kill-thread");
    expect(verdict(none, "aarch64", "read", [], "aarch64")).toBe("allow");
    expect(verdict(none, "x86_64", "read", [], "aarch64")).toBe("kill-thread");
  });

  test("-1, a call that a tracer skipped, is no x32 call", () => {
    expect(verdict({ defaultAction: "SCMP_ACT_LOG" }, "x86_64", 0xffffffff)).toBe("log");
  });

  test("a 32-bit ABI compares the low words of arguments", () => {
    const fd3 = denyAllBut({
      names: ["close"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, op: "SCMP_CMP_EQ", value: 3 }],
    });
    const wide = [0x7_00000003n];
    expect(verdict(fd3, "x86_64", "close", wide)).toBe("errno(1)");
    expect(verdict(fd3, "i386", "close", wide)).toBe("allow");
  });
});

describe("calls newer than the profile", () => {
  const read = { names: ["read", "write"], action: "SCMP_ACT_ALLOW" };

  test("return ENOSYS, also where the default kills", () => {
    for (const defaultAction of ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"]) {
      const seccomp = { ...denyAllBut(read), defaultAction };
      expect(verdict(seccomp, "x86_64", 2)).toBe("errno(38)");
      expect(verdict(seccomp, "i386", 5)).toBe("errno(38)");
      expect(verdict(seccomp, "x32", 0x40000002)).toBe("errno(38)");
      expect(verdict(seccomp, "i386", 2)).not.toBe("errno(38)");
    }
  });

  test("get the default action if it lets calls through", () => {
    expect(verdict({ ...denyAllBut(), defaultAction: "SCMP_ACT_LOG" }, "x86_64", 2)).toBe("log");
  });

  test("get the default action on an architecture that is not listed, as with runc", () => {
    const { architectures: _none, ...unlisted } = denyAllBut(read);
    expect(verdict(unlisted, "x86_64", 2)).toBe("errno(1)");
  });

  test("a rule for the default action makes a call known", () => {
    const seccomp = denyAllBut(read, { names: ["mseal"], action: "SCMP_ACT_ERRNO" });
    expect(verdict(seccomp, "x86_64", 462)).toBe("errno(1)");
    expect(verdict(seccomp, "x86_64", 463)).toBe("errno(38)");
  });
});

describe("flags", () => {
  const flagsOf = (extra: Partial<OciSeccomp>) =>
    compileSeccomp({ defaultAction: "SCMP_ACT_ALLOW", ...extra }, "x86_64").flags;

  test("are SPEC_ALLOW if none are given, and none if an empty list is", () => {
    expect(flagsOf({})).toBe(4);
    expect(flagsOf({ flags: [] })).toBe(0);
  });

  test("are those of seccomp(2); TSYNC means nothing for one thread", () => {
    expect(flagsOf({ flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"] })).toBe(6);
    expect(flagsOf({ flags: ["SECCOMP_FILTER_FLAG_TSYNC"] })).toBe(0);
  });

  test("have NEW_LISTENER with SCMP_ACT_NOTIFY, and the path comes along", () => {
    const filter = compileSeccomp(
      {
        defaultAction: "SCMP_ACT_ALLOW",
        flags: [],
        listenerPath: "/run/agent.sock",
        syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
      },
      "x86_64",
    );
    expect(filter).toMatchObject({ flags: 8, listenerPath: "/run/agent.sock" });
  });
});

describe("bad values are refused with their JSON path", () => {
  const rule = (extra: object) => ({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["read"], ...extra }] });
  const arg = (extra: object) =>
    rule({ action: "SCMP_ACT_ERRNO", args: [{ index: 0, op: "SCMP_CMP_EQ", value: 0, ...extra }] });

  test.each([
    [{}, 'linux.seccomp.defaultAction "undefined" is not an action'],
    [{ defaultAction: "ALLOW" }, 'linux.seccomp.defaultAction "ALLOW" is not an action'],
    [{ defaultAction: "SCMP_ACT_NOTIFY" }, "linux.seccomp.defaultAction cannot be SCMP_ACT_NOTIFY"],
    [
      { defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1 },
      "linux.seccomp.defaultErrnoRet is given, but SCMP_ACT_ALLOW returns no errno",
    ],
    [{ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4096 }, "linux.seccomp.defaultErrnoRet 4096 is not in 0–4095"],
    [
      { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_VAX"] },
      'linux.seccomp.architectures[1] "SCMP_ARCH_VAX" is not an architecture',
    ],
    [{ defaultAction: "SCMP_ACT_ALLOW", flags: ["LOG"] }, 'linux.seccomp.flags[0] "LOG" is not a seccomp flag'],
    [
      { defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] },
      "linux.seccomp.flags[0] SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
    ],
    [rule({ action: "SCMP_ACT_SING" }), 'linux.seccomp.syscalls[0].action "SCMP_ACT_SING" is not an action'],
    [rule({ action: "SCMP_ACT_ERRNO", errnoRet: -1 }), "linux.seccomp.syscalls[0].errnoRet -1 is not in 0–4095"],
    [
      rule({ action: "SCMP_ACT_KILL", errnoRet: 1 }),
      "linux.seccomp.syscalls[0].errnoRet is given, but SCMP_ACT_KILL returns no errno",
    ],
    [rule({ action: "SCMP_ACT_NOTIFY" }), "linux.seccomp.listenerPath is missing, but a rule has SCMP_ACT_NOTIFY"],
    [
      rule({ action: "SCMP_ACT_NOTIFY", names: ["write"] }),
      "linux.seccomp.syscalls[0].action SCMP_ACT_NOTIFY cannot be used for the write syscall",
    ],
    [rule({ action: "SCMP_ACT_ERRNO", names: ["read", ""] }), "linux.seccomp.syscalls[0].names[1] is not a name"],
    [rule({ action: "SCMP_ACT_ERRNO", names: undefined }), "linux.seccomp.syscalls[0].names is not a list"],
    [rule({ action: "SCMP_ACT_ERRNO", args: 3 }), "linux.seccomp.syscalls[0].args is not a list"],
    [{ defaultAction: "SCMP_ACT_ALLOW", syscalls: {} }, "linux.seccomp.syscalls is not a list"],
    [arg({ index: 6 }), "linux.seccomp.syscalls[0].args[0].index 6 is not in 0–5"],
    [arg({ op: "EQ" }), 'linux.seccomp.syscalls[0].args[0].op "EQ" is not a comparison'],
    [arg({ value: -1 }), "linux.seccomp.syscalls[0].args[0].value -1 is not an unsigned 64-bit integer"],
    [
      arg({ value: 2 ** 53 }),
      "linux.seccomp.syscalls[0].args[0].value 9007199254740992 is not an unsigned 64-bit integer",
    ],
    [
      arg({ valueTwo: 2n ** 64n }),
      "linux.seccomp.syscalls[0].args[0].valueTwo 18446744073709551616 is not an unsigned 64-bit integer",
    ],
  ])("%#", (seccomp, message) => {
    expect(errorOf(seccomp)).toBe(message);
  });

  test("a filter longer than the kernel takes", () => {
    const syscalls = Array.from({ length: 2000 }, (_, value) => ({
      names: ["ioctl"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 1, op: "SCMP_CMP_EQ", value }],
    }));
    expect(errorOf(denyAllBut(...syscalls))).toMatch(
      /^linux\.seccomp\.syscalls compile to \d+ instructions, the kernel takes 4096$/,
    );
  });

  test("more rules than the limit", () => {
    const rules = Array.from({ length: 4097 }, () => ({ names: ["read"], action: "SCMP_ACT_ALLOW" }));
    expect(errorOf(denyAllBut(...rules))).toBe("linux.seccomp.syscalls has 4097 rules, more than 4096");
  });
});

test("a filter stays right when jumps are too far for one conditional jump", () => {
  const values = Array.from({ length: 300 }, (_, index) => index * 3);
  const seccomp = denyAllBut(
    { names: ["read"], action: "SCMP_ACT_ALLOW" },
    ...values.map((value) => ({
      names: ["ioctl"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 1, op: "SCMP_CMP_EQ", value }],
    })),
    { names: ["setxattrat"], action: "SCMP_ACT_LOG" },
  );
  for (const arch of ["x86_64", "i386", "x32"] as const) {
    for (const value of [0, 3, 447, 450, 897])
      expect(verdict(seccomp, arch, "ioctl", [0, value]), `${arch} ${value}`).toBe("allow");
    for (const value of [1, 448, 898, 900]) expect(verdict(seccomp, arch, "ioctl", [0, value])).toBe("errno(1)");
    expect(verdict(seccomp, arch, "read")).toBe("allow");
    expect(verdict(seccomp, arch, "setxattrat")).toBe("log");
  }
});

describe("filterOf", () => {
  beforeAll(loadCompiler);

  test("gives the same filter for equal sections, and another for another", () => {
    const first = filterOf(denyAllBut({ names: ["read"], action: "SCMP_ACT_ALLOW" }), "x86_64");
    expect(filterOf(denyAllBut({ names: ["read"], action: "SCMP_ACT_ALLOW" }), "x86_64")).toBe(first);
    expect(filterOf(denyAllBut({ names: ["write"], action: "SCMP_ACT_ALLOW" }), "x86_64")).not.toBe(first);
    expect(filterOf(denyAllBut({ names: ["read"], action: "SCMP_ACT_ALLOW" }), "aarch64")).not.toBe(first);
  });

  test("gives the same object's filter for each architecture it is asked for", () => {
    const section = denyAllBut({ names: ["read"], action: "SCMP_ACT_ALLOW" });
    const first = filterOf(section, "x86_64");
    expect(filterOf(section, "aarch64").instructions).toEqual(compileSeccomp(section, "aarch64").instructions);
    expect(filterOf(section, "x86_64")).toBe(first);
  });

  test("tells bigints from strings of the same digits, and does not grow without end", () => {
    const withValue = (value: number | bigint): OciSeccomp =>
      denyAllBut({ names: ["ioctl"], action: "SCMP_ACT_ALLOW", args: [{ index: 1, op: "SCMP_CMP_EQ", value }] });
    const first = filterOf(withValue(1n), "x86_64");
    expect(filterOf(withValue(1n), "x86_64")).toBe(first);
    for (let value = 2; value < 40; value++) filterOf(withValue(value), "x86_64");
    expect(filterOf(withValue(1n), "x86_64")).not.toBe(first);
  });
});
