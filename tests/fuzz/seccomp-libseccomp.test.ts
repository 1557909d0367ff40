/** Our filters against those of libseccomp, which runc and so Docker use, wherever the library is installed. */
import { dlopen, type Pointer, ptr } from "bun:ffi";
import { expect } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CAPABILITIES, DOCKER_DEFAULT_CAPABILITIES } from "../../src/linux/capability/mod.ts";
import { X32_SYSCALL_BIT } from "../../src/linux/seccomp/arch.ts";
import { compileSeccomp } from "../../src/linux/seccomp/mod.ts";
import { hostArch } from "../../src/linux/seccomp/native.ts";
import { toOciSeccomp } from "../../src/spec/docker-seccomp.ts";
import { defaultProfile } from "../../src/spec/docker-seccomp-default.ts";
import type { OciSeccomp, OciSeccompArg } from "../../src/spec/oci-runtime.ts";
import { decodeFilter, formatAction, formatFilter, interpretFilter } from "../support/interpret-filter.ts";
import { Random } from "../support/random.ts";
import { AUDIT_ARCH, FAMILY, randomCall, randomSeccomp } from "../support/seccomp-reference.ts";
import { testIf } from "../support/test-if.ts";

function openLibrary() {
  try {
    return dlopen("libseccomp.so.2", {
      seccomp_init: { args: ["u32"], returns: "ptr" },
      seccomp_release: { args: ["ptr"], returns: "void" },
      seccomp_arch_add: { args: ["ptr", "u32"], returns: "i32" },
      seccomp_attr_set: { args: ["ptr", "i32", "u32"], returns: "i32" },
      seccomp_syscall_resolve_name: { args: ["ptr"], returns: "i32" },
      seccomp_rule_add_array: { args: ["ptr", "u32", "i32", "u32", "ptr"], returns: "i32" },
      seccomp_export_bpf: { args: ["ptr", "i32"], returns: "i32" },
    }).symbols;
  } catch {
    return undefined;
  }
}
const library = openLibrary();

/** SCMP_ARCH_… of seccomp.h: AUDIT_ARCH_… but for x32. */
const TOKENS: Record<string, number> = {
  SCMP_ARCH_X86_64: 0xc000003e,
  SCMP_ARCH_X86: 0x40000003,
  SCMP_ARCH_X32: 0x4000003e,
  SCMP_ARCH_AARCH64: 0xc00000b7,
  SCMP_ARCH_ARM: 0x40000028,
};
const ACTIONS: Record<string, number> = {
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x30000,
  SCMP_ACT_ERRNO: 0x50000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};
const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const SCMP_FLTATR_CTL_OPTIMIZE = 8;
const NO_SUCH_SYSCALL = -1;
const EEXIST = 17;

function actionOf(name: string, errnoRet: number | undefined): number {
  return ACTIONS[name]! + (/ERRNO|TRACE/.test(name) ? (errnoRet ?? 1) : 0);
}

/** `struct scmp_arg_cmp[]`: unsigned arg, enum op (from 1), u64 datum_a, u64 datum_b. */
function encodeArgs(args: readonly OciSeccompArg[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(Math.max(1, args.length) * 24));
  args.forEach((arg, index) => {
    view.setUint32(index * 24, arg.index, true);
    view.setUint32(index * 24 + 4, OPERATORS.indexOf(arg.op.replace("SCMP_CMP_", "")) + 1, true);
    view.setBigUint64(index * 24 + 8, BigInt(arg.value), true);
    view.setBigUint64(index * 24 + 16, BigInt(arg.valueTwo ?? 0), true);
  });
  return new Uint8Array(view.buffer);
}

/** Adds the rules as runc does. */
function addRules(lib: NonNullable<typeof library>, context: Pointer, seccomp: OciSeccomp): void {
  const otherwise = actionOf(seccomp.defaultAction, seccomp.defaultErrnoRet);
  for (const rule of seccomp.syscalls ?? []) {
    const action = actionOf(rule.action, rule.errnoRet);
    const args = rule.args ?? [];
    const repeats = new Set(args.map((arg) => arg.index)).size < args.length;
    for (const name of rule.names) {
      const number = lib.seccomp_syscall_resolve_name(ptr(Buffer.from(`${name}\0`)));
      if (number === NO_SUCH_SYSCALL || action === otherwise) continue;
      for (const alternative of repeats ? args.map((arg) => [arg]) : [args]) {
        const failed = lib.seccomp_rule_add_array(
          context,
          action,
          number,
          alternative.length,
          ptr(encodeArgs(alternative)),
        );
        if (failed !== 0 && failed !== -EEXIST) throw new Error(`seccomp_rule_add_array ${name}: ${failed}`);
      }
    }
  }
}

function libseccompFilter(lib: NonNullable<typeof library>, seccomp: OciSeccomp, folder: string): Uint8Array {
  const context = lib.seccomp_init(actionOf(seccomp.defaultAction, seccomp.defaultErrnoRet));
  if (context === null || typeof context === "bigint") throw new Error("seccomp_init");
  const path = join(folder, "filter");
  const fd = openSync(path, "w");
  try {
    for (const arch of seccomp.architectures ?? []) {
      const failed = lib.seccomp_arch_add(context, TOKENS[arch]!);
      if (failed !== 0 && failed !== -EEXIST) throw new Error(`seccomp_arch_add ${arch}: ${failed}`);
    }
    if ((seccomp.syscalls?.length ?? 0) > 32) lib.seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    addRules(lib, context, seccomp);
    const failed = lib.seccomp_export_bpf(context, fd);
    if (failed !== 0) throw new Error(`seccomp_export_bpf: ${failed}`);
  } finally {
    closeSync(fd);
    lib.seccomp_release(context);
  }
  return new Uint8Array(readFileSync(path));
}

/**
 * What libseccomp 2.6 compiles without fault. Left out, each found by comparing both with the rules read one by one:
 * several inequalities on one call and rules of several arguments (tests of a stale register, and once no end at all);
 * X32 beside X86_64 in small filters (the number is not loaded). And what has no counterpart: rules of one call with
 * different actions (no defined order), and default actions for which runc puts its own ENOSYS rule in front.
 */
function comparable(random: Random): OciSeccomp {
  const architectures = hostArch() === "x86_64" ? ["X86_64", "X86"] : ["AARCH64", "ARM"];
  const seccomp = randomSeccomp(random, {
    defaultActions: ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO"],
    actions: [random.pick(Object.keys(ACTIONS))],
    architectures: architectures.map((name) => `SCMP_ARCH_${name}`),
    maxRules: 20,
  });
  const seen = new Set<string>();
  for (const rule of seccomp.syscalls ?? []) {
    rule.action = seccomp.syscalls![0]!.action;
    delete rule.errnoRet;
    rule.args = (rule.args ?? []).slice(0, 1).map((arg) => ({ ...arg, index: 0 }));
    if (rule.names.some((name) => seen.has(name))) for (const arg of rule.args) arg.op = "SCMP_CMP_EQ";
    else for (const name of rule.names) seen.add(name);
  }
  const ENOSYS = 38;
  return seccomp.defaultAction === "SCMP_ACT_ERRNO" ? { ...seccomp, defaultErrnoRet: ENOSYS } : seccomp;
}

testIf(library !== undefined, "libseccomp.so.2 is not installed")(
  "our filter decides every call as libseccomp's does",
  () => {
    // Not a fresh seed: a fault in the library could end this process.
    const random = new Random(Number(process.env.FUZZ_SEED ?? 1));
    const folder = mkdtempSync(join(tmpdir(), "lighter-libseccomp-"));
    try {
      for (let round = 0; round < 1500; round++) {
        const seccomp = comparable(random);
        const theirs = libseccompFilter(library!, seccomp, folder);
        const ours = compileSeccomp(seccomp).instructions;
        const [theirFilter, ourFilter] = [decodeFilter(theirs), decodeFilter(ours)];
        for (let step = 0; step < 60; step++) {
          const call = randomCall(random, seccomp, FAMILY[hostArch()]);
          const got = formatAction(interpretFilter(ourFilter, call).action);
          const wanted = formatAction(interpretFilter(theirFilter, call).action);
          if (got === wanted) continue;
          const show = (value: unknown) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v));
          console.log(show(call), show(seccomp), "\nours:", formatFilter(ours), "theirs:", formatFilter(theirs));
          expect(got, `round ${round}`).toBe(wanted);
        }
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

/** removexattrat; above it our filter says ENOSYS, where runc puts a rule of its own before libseccomp's filter. */
const NEWEST_IN_DEFAULT_PROFILE = 466;
/** Arguments 0 that the default profile tells apart, and their neighbours. */
const TELLING_ARGS = [
  0, 1, 2, 7, 8, 9, 37, 38, 39, 40, 41, 0x1ffff, 0x20000, 0x20008, 0x11, 0x20011, 0x10000000, 0x40000000,
];
const WIDE_ARGS = [0xffffffffn, 0x1_00000000n, 0x1_00000008n, 0x7e020000n, 0x80000000n, 2n ** 64n - 1n];

testIf(library !== undefined && hostArch() === "x86_64", "needs libseccomp.so.2 and x86_64")(
  "the default profile's filter decides every call as libseccomp's does, for several sets of capabilities",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "lighter-libseccomp-"));
    try {
      for (const capabilities of [[], ["CAP_SYS_ADMIN"], [...DOCKER_DEFAULT_CAPABILITIES], [...CAPABILITIES]]) {
        const seccomp = toOciSeccomp(defaultProfile(), { arch: "amd64", capabilities, kernelVersion: "6.18" });
        const theirs = decodeFilter(libseccompFilter(library!, seccomp, folder));
        const ours = decodeFilter(compileSeccomp(seccomp, "x86_64").instructions);
        const different: string[] = [];
        for (const arch of FAMILY.x86_64)
          for (let number = 0; number <= NEWEST_IN_DEFAULT_PROFILE; number++)
            for (const arg of [...TELLING_ARGS.map(BigInt), ...WIDE_ARGS]) {
              const nr = arch === "x32" ? number + X32_SYSCALL_BIT : number;
              const call = { arch: AUDIT_ARCH[arch], nr, args: [arg, 0n, 0n, 0n, 0n, 0n] };
              const [got, wanted] = [ours, theirs].map((filter) => formatAction(interpretFilter(filter, call).action));
              if (got !== wanted) different.push(`${arch} ${nr} (${arg}): ours ${got}, theirs ${wanted}`);
            }
        expect(different).toEqual([]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
