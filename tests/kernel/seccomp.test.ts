import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { CAPABILITIES, DOCKER_DEFAULT_CAPABILITIES } from "../../src/linux/capability/mod.ts";
import { type SeccompArch, syscallNumber, X32_SYSCALL_BIT } from "../../src/linux/seccomp/arch.ts";
import { MAX_INSTRUCTIONS } from "../../src/linux/seccomp/bpf.ts";
import { compileSeccomp } from "../../src/linux/seccomp/mod.ts";
import { hostArch } from "../../src/linux/seccomp/native.ts";
import { toOciSeccomp } from "../../src/spec/docker-seccomp.ts";
import { defaultProfile } from "../../src/spec/docker-seccomp-default.ts";
import type { OciSeccomp } from "../../src/spec/oci-runtime.ts";
import { decodeFilter, interpretFilter } from "../support/interpret-filter.ts";
import { Random } from "../support/random.ts";
import { guardedAnswer, SeccompProbe } from "../support/seccomp-probe.ts";
import { AUDIT_ARCH, type Call, randomCall, randomSeccomp } from "../support/seccomp-reference.ts";
import { testIf } from "../support/test-if.ts";

/** User-mode Linux, as in the VM for cgroup v2, knows the native calls only: int 0x80 is to it as syscall. */
const isUserModeLinux = readFileSync("/proc/cpuinfo", "utf8").includes("User Mode Linux");
/** Those whose calls one program can make here. */
const ARCHES: readonly SeccompArch[] =
  hostArch() === "x86_64" ? (isUserModeLinux ? ["x86_64", "x32"] : ["x86_64", "i386", "x32"]) : ["aarch64"];
const NATIVE = hostArch();
const NATIVE_SCMP = NATIVE === "x86_64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64";

let probe: SeccompProbe;
beforeAll(() => {
  probe = new SeccompProbe();
});
afterAll(() => probe?.[Symbol.dispose]());

function call(name: string, ...args: (number | bigint)[]): Call {
  const nr = syscallNumber(NATIVE, name);
  if (nr === undefined) throw new Error(`no system call ${name}`);
  return { arch: AUDIT_ARCH[NATIVE], nr, args: Array.from({ length: 6 }, (_, index) => BigInt(args[index] ?? 0)) };
}

function defaultFor(capabilities: readonly string[]): OciSeccomp {
  return toOciSeccomp(defaultProfile(), {
    arch: NATIVE === "x86_64" ? "amd64" : "arm64",
    capabilities,
    kernelVersion: "6.12.0",
  });
}

/** Every number up to well above the newest, on every architecture, with arguments 0 that the profile tells apart. */
function everyCall(): Call[] {
  const args = [0n, 0x11n, 38n, 39n, 40n, 0x20008n, 0x10000000n, 0xffffffffn, 0x1_00000000n, 2n ** 64n - 1n];
  const numbers = [...Array.from({ length: 500 }, (_, number) => number), 0x3fffffff];
  return ARCHES.flatMap((arch) =>
    numbers.flatMap((number) =>
      args.map((arg) => ({
        arch: AUDIT_ARCH[arch],
        nr: arch === "x32" ? number + X32_SYSCALL_BIT : number,
        args: [arg, 0n, 0n, 0n, 0n, 0n],
      })),
    ),
  );
}

/** uretprobe and uprobe: for the kernel's own trampolines, so no filter sees them (since Linux 6.14, kernel/seccomp.c). */
function isNeverFiltered({ arch, nr }: Call): boolean {
  return arch === AUDIT_ARCH.x86_64 && (nr === 335 || nr === 336);
}

function expectKernelAgrees(seccomp: OciSeccomp, allCalls: readonly Call[]): void {
  const calls = allCalls.filter((each) => !isNeverFiltered(each));
  const compiled = compileSeccomp(seccomp);
  const filter = decodeFilter(compiled.instructions);
  const answers = probe.run(compiled, calls, "guarded");
  const wanted = calls.map((each) => guardedAnswer(interpretFilter(filter, each).action));
  const different = calls.flatMap(({ arch, nr, args }, index) =>
    answers[index] === wanted[index]
      ? []
      : [`${arch.toString(16)} ${nr} (${args}): kernel ${answers[index]}, interpreter ${wanted[index]}`],
  );
  expect(different).toEqual([]);
}

describe("the kernel and the interpreter agree on the default profile, for every number", () => {
  test.each([
    ["no capability", []],
    ["Docker's default capabilities", DOCKER_DEFAULT_CAPABILITIES],
    ["all capabilities", CAPABILITIES],
  ] as const)("with %s", (_, capabilities) => {
    expectKernelAgrees(defaultFor(capabilities), everyCall());
  });
});

test("the kernel takes random filters and agrees with the interpreter", () => {
  const random = Random.fromEnvironment("seccomp filters on the kernel");
  for (let round = 0; round < 40; round++) {
    const seccomp = randomSeccomp(random, {
      // Those that end the process cost a fork each.
      actions: ["ALLOW", "ERRNO", "ERRNO", "TRACE", "LOG", round % 10 === 0 ? "TRAP" : "ERRNO"].map(
        (name) => `SCMP_ACT_${name}`,
      ),
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
      maxRules: 40,
    });
    expectKernelAgrees(
      seccomp,
      Array.from({ length: 100 }, () => randomCall(random, seccomp, ARCHES)),
    );
  }
});

test("each action does to a call what its name says", () => {
  const answer = (action: string, errnoRet?: number) =>
    probe.run(
      compileSeccomp({
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["getppid"], action, ...(errnoRet === undefined ? {} : { errnoRet }) }],
      }),
      [call("getppid"), call("getpid")],
      "real",
    );
  const ENOSYS = 38;
  expect({
    ALLOW: answer("SCMP_ACT_ALLOW"),
    LOG: answer("SCMP_ACT_LOG"),
    ERRNO: answer("SCMP_ACT_ERRNO"),
    ERRNO_7: answer("SCMP_ACT_ERRNO", 7),
    ERRNO_0: answer("SCMP_ACT_ERRNO", 0),
    // Without a tracer the kernel says so.
    TRACE: answer("SCMP_ACT_TRACE"),
    TRAP: answer("SCMP_ACT_TRAP"),
    KILL: answer("SCMP_ACT_KILL"),
    KILL_THREAD: answer("SCMP_ACT_KILL_THREAD"),
    KILL_PROCESS: answer("SCMP_ACT_KILL_PROCESS"),
  }).toEqual({
    ALLOW: ["errno 0", "errno 0"],
    LOG: ["errno 0", "errno 0"],
    ERRNO: ["errno 1", "errno 0"],
    ERRNO_7: ["errno 7", "errno 0"],
    ERRNO_0: ["errno 0", "errno 0"],
    TRACE: [`errno ${ENOSYS}`, "errno 0"],
    TRAP: ["SIGSYS", "errno 0"],
    KILL: ["SIGSYS", "errno 0"],
    KILL_THREAD: ["SIGSYS", "errno 0"],
    KILL_PROCESS: ["SIGSYS", "errno 0"],
  });
});

testIf(NATIVE === "x86_64" && !isUserModeLinux, "needs x86_64 that runs i386 programs")(
  "an architecture that is not listed is killed",
  () => {
    const seccomp: OciSeccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"] };
    const getpidI386 = { arch: AUDIT_ARCH.i386, nr: 20, args: [0n, 0n, 0n, 0n, 0n, 0n] };
    const getpidX32 = { ...call("getpid"), nr: X32_SYSCALL_BIT + 39 };
    expect(probe.run(compileSeccomp(seccomp), [getpidI386, getpidX32, call("getpid")], "real")).toEqual([
      "SIGSYS",
      "SIGSYS",
      "errno 0",
    ]);
  },
);

test("the default profile with Docker's default capabilities, on real calls", () => {
  const EPERM = "errno 1";
  const EBADF = "errno 9";
  const EFAULT = "errno 14";
  const ENOSYS = "errno 38";
  const badFd = -1 >>> 0;
  const CLONE_NEWUSER = 0x10000000;
  const AF_INET = 2;
  const SOCK_STREAM = 1;
  const cases: [string, Call, string][] = [
    ["close", call("close", badFd), EBADF],
    ["fchdir", call("fchdir", badFd), EBADF],
    ["getpid", call("getpid"), "errno 0"],
    ["openat of a null path", call("openat", badFd), EFAULT],
    ["socket AF_INET", call("socket", AF_INET, SOCK_STREAM), "errno 0"],
    ["socket AF_ALG", call("socket", 38, 5), EPERM],
    ["socket AF_VSOCK", call("socket", 40, 1), EPERM],
    ["personality query", call("personality", 0xffffffff), "errno 0"],
    ["personality PER_BSD", call("personality", 6), EPERM],
    ["clone with a user namespace", call("clone", CLONE_NEWUSER), EPERM],
    ["clone3", call("clone3"), ENOSYS],
    ["unshare of a user namespace", call("unshare", CLONE_NEWUSER), EPERM],
    ["setns", call("setns", badFd), EPERM],
    ["mount", call("mount"), EPERM],
    ["bpf", call("bpf"), EPERM],
    ["keyctl", call("keyctl", 99), EPERM],
    ["io_uring_setup", call("io_uring_setup"), EPERM],
    ["userfaultfd", call("userfaultfd", badFd), EPERM],
    ["kexec_load", call("kexec_load", 0, badFd), EPERM],
    ["chroot, by CAP_SYS_CHROOT", call("chroot", 0), EFAULT],
    ["a call newer than the profile", { ...call("getpid"), nr: 4000 }, ENOSYS],
  ];
  const answers = probe.run(
    compileSeccomp(defaultFor(DOCKER_DEFAULT_CAPABILITIES)),
    cases.map(([, each]) => each),
    "real",
  );
  expect(cases.map(([name], index) => `${name}: ${answers[index]}`)).toEqual(
    cases.map(([name, , wanted]) => `${name}: ${wanted}`),
  );
});

test("the kernel takes a filter with SCMP_ACT_NOTIFY and gives a listener for it", () => {
  const compiled = compileSeccomp({
    defaultAction: "SCMP_ACT_ALLOW",
    listenerPath: "/run/agent.sock",
    flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
    syscalls: [{ names: ["mknod", "mknodat"], action: "SCMP_ACT_NOTIFY" }],
  });
  expect(probe.run(compiled, [call("getpid")], "real")).toEqual(["errno 0"]);
});

test("the kernel takes a filter of as many instructions as we allow", () => {
  const withRules = (count: number) =>
    compileSeccomp({
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: [NATIVE_SCMP],
      syscalls: Array.from({ length: count }, (_, index) => ({
        names: ["getppid"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, op: "SCMP_CMP_EQ", value: index }],
      })),
    });
  // The most rules that fit.
  let count = 1;
  for (let step = 2048; step >= 1; step /= 2) {
    try {
      withRules(count + step);
      count += step;
    } catch {}
  }
  const compiled = withRules(count);
  expect(compiled.instructions.length / 8).toBeGreaterThan(MAX_INSTRUCTIONS - 8);
  expect(probe.run(compiled, [call("getppid", count - 1), call("getppid", count)], "real")).toEqual([
    "errno 1",
    "errno 0",
  ]);
});
