import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { decodeFilter, formatAction, interpretFilter } from "../../tests/support/interpret-filter.ts";
import { DOCKER_DEFAULT_CAPABILITIES } from "../linux/capability/mod.ts";
import { ARCH_INFO, type SeccompArch, syscallNames, syscallNumber } from "../linux/seccomp/arch.ts";
import { compileSeccomp } from "../linux/seccomp/mod.ts";
import { type DockerSeccompRule, parseDockerSeccompProfile, toOciSeccomp } from "./docker-seccomp.ts";
import { defaultProfile } from "./docker-seccomp-default.ts";
import type { OciSeccompArg } from "./oci-runtime.ts";

const rules = defaultProfile().syscalls;

test("every name in the profile is a system call of some architecture, and no rule names one twice", () => {
  const known = new Set(syscallNames());
  expect(rules.flatMap((rule) => rule.names).filter((name) => !known.has(name))).toEqual([]);
  for (const { names } of rules) expect(new Set(names).size).toBe(names.length);
});

test("the profile survives being written and read as JSON", () => {
  expect(parseDockerSeccompProfile(JSON.stringify(defaultProfile()))).toEqual(defaultProfile());
});

test("each call gives a copy of its own", () => {
  defaultProfile().syscalls[0]!.names.push("reboot");
  expect(defaultProfile().syscalls[0]!.names).not.toContain("reboot");
});

/**
 * Our table in the form and order of moby's file, with the rules of other architectures added. Equal bytes show that no name is
 * missing and none too many.
 */
function asMobyWritesIt(): string {
  const allow = "SCMP_ACT_ALLOW";
  const ordered = (rule: DockerSeccompRule | undefined, names: string) => {
    expect([...(rule?.names ?? [])].sort()).toEqual(names.split(" ").sort());
    return names.split(" ");
  };
  const withNames = (name: string) => rules.filter((rule) => rule.names.includes(name));
  const forCapability = (capability: string, names?: string) => {
    const rule = rules.find(({ includes }) => includes?.caps?.includes(capability));
    return { names: names ? ordered(rule, names) : rule!.names, action: allow, includes: { caps: [capability] } };
  };
  const args = (list: OciSeccompArg[] | undefined) =>
    list!.map(({ index, value, valueTwo, op }) => ({ index, value, ...(valueTwo ? { valueTwo } : {}), op }));
  const plain = (rule: DockerSeccompRule) => ({ names: rule.names, action: rule.action, args: args(rule.args) });
  const forArches = (names: string, arches: string) => ({
    names: names.split(" "),
    action: allow,
    includes: { arches: arches.split(" ") },
  });
  const clone = rules.find((rule) => rule.names.includes("clone") && rule.args)!;
  const arm = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
  ordered(withNames("cacheflush")[0], arm);
  // The order ignores underscores, but timerfd_… comes after timer_….
  const sortKey = (name: string) => name.replaceAll("_", "").replace(/^timerfd/, "timert");
  const always = [...rules[0]!.names, "riscv_hwprobe"].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
  const archMap = [
    ...defaultProfile().archMap!.map(({ architecture, subArchitectures }) => [architecture, subArchitectures] as const),
    ["SCMP_ARCH_MIPS64", ["SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"]],
    ["SCMP_ARCH_MIPS64N32", ["SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64"]],
    ["SCMP_ARCH_MIPSEL64", ["SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"]],
    ["SCMP_ARCH_MIPSEL64N32", ["SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64"]],
    ["SCMP_ARCH_S390X", ["SCMP_ARCH_S390"]],
    ["SCMP_ARCH_RISCV64", null],
    ["SCMP_ARCH_LOONGARCH64", null],
  ].map(([architecture, subArchitectures]) => ({ architecture, subArchitectures }));
  const document = {
    defaultAction: defaultProfile().defaultAction,
    defaultErrnoRet: defaultProfile().defaultErrnoRet,
    archMap,
    syscalls: [
      { names: always, action: allow },
      ...rules
        .filter(({ includes }) => includes?.minKernel)
        .map(({ names, action, includes }) => ({ names, action, includes })),
      ...withNames("socket").map(plain),
      ...withNames("personality").map(plain),
      forArches("sync_file_range2 swapcontext", "ppc64le"),
      forArches(arm, "arm arm64"),
      forArches("arch_prctl", "amd64 x32"),
      forArches("modify_ldt", "amd64 x32 x86"),
      forArches("s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", "s390 s390x"),
      forArches("riscv_flush_icache", "riscv64"),
      forCapability("CAP_DAC_READ_SEARCH"),
      forCapability("CAP_SYS_ADMIN"),
      { ...plain(clone), excludes: { caps: ["CAP_SYS_ADMIN"], arches: ["s390", "s390x"] } },
      {
        ...plain({ ...clone, args: clone.args!.map((arg) => ({ ...arg, index: 1 })) }),
        comment: "s390 parameter ordering for clone is different",
        includes: { arches: ["s390", "s390x"] },
        excludes: clone.excludes,
      },
      ...rules
        .filter((rule) => rule.errnoRet !== undefined)
        .map(({ names, action, errnoRet, excludes }) => ({ names, action, errnoRet, excludes })),
      forCapability("CAP_SYS_BOOT"),
      forCapability("CAP_SYS_CHROOT"),
      forCapability("CAP_SYS_MODULE", "delete_module init_module finit_module"),
      forCapability("CAP_SYS_PACCT"),
      forCapability("CAP_SYS_PTRACE"),
      forCapability("CAP_SYS_RAWIO", "iopl ioperm"),
      forCapability("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
      forCapability("CAP_SYS_TTY_CONFIG"),
      forCapability("CAP_SYS_NICE"),
      forCapability("CAP_SYSLOG"),
      forCapability("CAP_BPF"),
      forCapability("CAP_PERFMON"),
    ],
  };
  return JSON.stringify(document, null, "\t");
}

test("the profile is that of moby/profiles seccomp v0.2.3, to the byte", () => {
  const sha256 = createHash("sha256").update(asMobyWritesIt()).digest("hex");
  expect(sha256).toBe("536529b665dd0972c37bfb569f5d4ac8a53592e7b00752bc39ff063ca9864c74");
});

describe("what the default profile's filter says", () => {
  const ALLOW = "allow";
  const EPERM = "errno(1)";
  const ENOSYS = "errno(38)";
  const filterFor = (capabilities: readonly string[], arch: "amd64" | "arm64" = "amd64") =>
    decodeFilter(
      compileSeccomp(
        toOciSeccomp(defaultProfile(), { arch, capabilities, kernelVersion: "6.1" }),
        arch === "amd64" ? "x86_64" : "aarch64",
      ).instructions,
    );
  const plain = filterFor(DOCKER_DEFAULT_CAPABILITIES);
  const plainArm = filterFor(DOCKER_DEFAULT_CAPABILITIES, "arm64");
  const ask = (filter: typeof plain, arch: SeccompArch, call: string | number, args: number[]) => {
    const nr = typeof call === "number" ? call : syscallNumber(arch, call)!;
    return formatAction(
      interpretFilter(filter, { nr, arch: ARCH_INFO[arch].auditArch, args: args.map(BigInt) }).action,
    );
  };

  const CLONE_THREAD_FLAGS = 0x3d0f00;
  const CLONE_NEWUSER = 0x10000000;
  test.each([
    ["x86_64", "read", [], ALLOW],
    ["i386", "read", [], ALLOW],
    ["x32", "read", [], ALLOW],
    ["x86_64", "clone", [CLONE_THREAD_FLAGS], ALLOW],
    ["x86_64", "clone", [CLONE_NEWUSER | 17], EPERM],
    ["i386", "clone", [CLONE_NEWUSER | 17], EPERM],
    ["x86_64", "clone3", [], ENOSYS],
    ["x86_64", "unshare", [0], EPERM],
    ["x86_64", "mount", [], EPERM],
    ["x86_64", "chroot", [], ALLOW],
    ["x86_64", "ptrace", [], ALLOW],
    ["x86_64", "socket", [0], ALLOW],
    ["x86_64", "socket", [2], ALLOW],
    ["x86_64", "socket", [37], ALLOW],
    ["x86_64", "socket", [38], EPERM],
    ["x86_64", "socket", [39], ALLOW],
    ["x86_64", "socket", [40], EPERM],
    ["x86_64", "socket", [41], ALLOW],
    ["i386", "socket", [40], EPERM],
    ["i386", "socketcall", [1], ALLOW],
    ["x86_64", "personality", [0], ALLOW],
    ["x86_64", "personality", [8], ALLOW],
    ["x86_64", "personality", [0x20000], ALLOW],
    ["x86_64", "personality", [0x20008], ALLOW],
    ["x86_64", "personality", [0xffffffff], ALLOW],
    ["x86_64", "personality", [0x40000], EPERM],
    ["x86_64", "io_uring_setup", [], EPERM],
    ["x86_64", "io_uring_enter", [], EPERM],
    ["x86_64", "io_uring_register", [], EPERM],
    ["x86_64", "keyctl", [], EPERM],
    ["x86_64", "add_key", [], EPERM],
    ["x86_64", "request_key", [], EPERM],
    ["x86_64", "userfaultfd", [], EPERM],
    ["x86_64", "kexec_load", [], EPERM],
    ["x86_64", "pivot_root", [], EPERM],
    ["x86_64", "bpf", [], EPERM],
    ["x86_64", "perf_event_open", [], EPERM],
    ["x86_64", "open_by_handle_at", [], EPERM],
    ["x86_64", "arch_prctl", [], ALLOW],
    ["x86_64", "modify_ldt", [], ALLOW],
    ["x86_64", "removexattrat", [], ALLOW],
    // Calls newer than the profile fail as on an older kernel, so that libc falls back.
    ["x86_64", 467, [], ENOSYS],
    ["i386", 467, [], ENOSYS],
    ["x32", 0x40000000 + 600, [], ENOSYS],
  ] as const)("with Docker's capabilities: %s %s %j is %s", (arch, call, args, wanted) => {
    expect(ask(plain, arch, call, [...args])).toBe(wanted);
  });

  test.each([
    ["aarch64", "read", [], ALLOW],
    ["arm", "read", [], ALLOW],
    ["arm", "cacheflush", [], ALLOW],
    ["arm", "set_tls", [], ALLOW],
    ["arm", "sync_file_range2", [], ALLOW],
    ["aarch64", "clone", [CLONE_NEWUSER | 17], EPERM],
    ["aarch64", "clone3", [], ENOSYS],
    ["aarch64", "mount", [], EPERM],
    ["aarch64", "socket", [40], EPERM],
    ["aarch64", 467, [], ENOSYS],
    ["arm", 467, [], ENOSYS],
  ] as const)("on arm64: %s %s %j is %s", (arch, call, args, wanted) => {
    expect(ask(plainArm, arch, call, [...args])).toBe(wanted);
  });

  test.each([
    ["CAP_BPF", "bpf"],
    ["CAP_DAC_READ_SEARCH", "open_by_handle_at"],
    ["CAP_PERFMON", "perf_event_open"],
    ["CAP_SYS_ADMIN", "mount"],
    ["CAP_SYS_ADMIN", "clone3"],
    ["CAP_SYS_ADMIN", "unshare"],
    ["CAP_SYS_BOOT", "reboot"],
    ["CAP_SYS_CHROOT", "chroot"],
    ["CAP_SYS_MODULE", "init_module"],
    ["CAP_SYS_NICE", "mbind"],
    ["CAP_SYS_PACCT", "acct"],
    ["CAP_SYS_PTRACE", "kcmp"],
    ["CAP_SYS_RAWIO", "iopl"],
    ["CAP_SYS_TIME", "settimeofday"],
    ["CAP_SYS_TTY_CONFIG", "vhangup"],
    ["CAP_SYSLOG", "syslog"],
  ])("%s unlocks %s, which is blocked without it", (capability, call) => {
    expect(ask(filterFor([capability]), "x86_64", call, [])).toBe(ALLOW);
    expect(ask(filterFor([]), "x86_64", call, [])).toBe(call === "clone3" ? ENOSYS : EPERM);
  });

  test("CAP_SYS_ADMIN may clone with any flags", () => {
    expect(ask(filterFor(["CAP_SYS_ADMIN"]), "x86_64", "clone", [CLONE_NEWUSER])).toBe(ALLOW);
  });

  test("no call takes more than 20 steps", () => {
    const steps = (["x86_64", "i386", "x32"] as const).flatMap((arch) =>
      [...syscallNames()].flatMap((name) => {
        const nr = syscallNumber(arch, name);
        return nr === undefined ? [] : [interpretFilter(plain, { nr, arch: ARCH_INFO[arch].auditArch }).steps];
      }),
    );
    expect(Math.max(...steps)).toBeLessThanOrEqual(20);
  });
});
