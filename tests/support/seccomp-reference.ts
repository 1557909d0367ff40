/**
 * Decides what a seccomp section does by reading it rule by rule: the slow and obvious counterpart of the compiled filter. Also
 * makes random sections to compare the two. It shares only the table of system call numbers with the compiler.
 */
import { type SeccompArch, syscallNumber } from "../../src/linux/seccomp/arch.ts";
import type { NativeArch } from "../../src/linux/seccomp/native.ts";
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from "../../src/spec/oci-runtime.ts";
import type { Random } from "./random.ts";

/** The architectures' audit values. Calls of x32 are those of x86_64 with bit 30 of the number set. */
export const AUDIT_ARCH: Record<SeccompArch, number> = {
  x86_64: 0xc000003e,
  i386: 0x40000003,
  x32: 0xc000003e,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};
const RET: Record<string, number> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x30000,
  SCMP_ACT_ERRNO: 0x50000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
};
const KILL = 0;
const ENOSYS = 0x50000 + 38;

const ARCH_NAMES: Record<string, SeccompArch> = {
  SCMP_ARCH_X86_64: "x86_64",
  SCMP_ARCH_X86: "i386",
  SCMP_ARCH_X32: "x32",
  SCMP_ARCH_AARCH64: "aarch64",
  SCMP_ARCH_ARM: "arm",
};
export const FAMILY: Record<NativeArch, readonly SeccompArch[]> = {
  x86_64: ["x86_64", "i386", "x32"],
  aarch64: ["aarch64", "arm"],
};

/** The calls that i386's socketcall (102) and ipc (117) carry, for the names below only. */
const I386_SUBCALLS: Record<string, { multiplexer: number; subcall: bigint }> = {
  socket: { multiplexer: 102, subcall: 1n },
  connect: { multiplexer: 102, subcall: 3n },
  shmget: { multiplexer: 117, subcall: 23n },
};

export interface Call {
  /** An AUDIT_ARCH_… value. */
  arch: number;
  nr: number;
  /** Six arguments. */
  args: bigint[];
}

function ret(action: string, errnoRet: number | undefined): number {
  const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
  return RET[action]! + (takesErrno ? (errnoRet ?? 1) : 0);
}

function argHolds(arg: OciSeccompArg, call: Call, bits: 32 | 64): boolean {
  const cut = (value: number | bigint) => BigInt.asUintN(bits, BigInt(value));
  const actual = cut(call.args[arg.index]!);
  const value = cut(arg.value);
  switch (arg.op) {
    case "SCMP_CMP_NE":
      return actual !== value;
    case "SCMP_CMP_LT":
      return actual < value;
    case "SCMP_CMP_LE":
      return actual <= value;
    case "SCMP_CMP_EQ":
      return actual === value;
    case "SCMP_CMP_GE":
      return actual >= value;
    case "SCMP_CMP_GT":
      return actual > value;
    default:
      return (actual & value) === (cut(arg.valueTwo ?? 0) & value);
  }
}

type Match = "whatever the arguments" | "by the arguments" | "no";

function matchRule(rule: OciSeccompRule, arch: SeccompArch, call: Call): Match {
  const bits = arch === "x86_64" || arch === "aarch64" ? 64 : 32;
  const args = rule.args ?? [];
  const repeats = new Set(args.map((arg) => arg.index)).size < args.length;
  const alternatives = repeats ? args.map((arg) => [arg]) : [args];
  const masksNothing = (arg: OciSeccompArg) =>
    arg.op === "SCMP_CMP_MASKED_EQ" && BigInt.asUintN(bits, BigInt(arg.value)) === 0n;
  let match: Match = "no";
  for (const name of rule.names) {
    const multiplexed = arch === "i386" ? I386_SUBCALLS[name] : undefined;
    for (const alternative of alternatives) {
      if (syscallNumber(arch, name) === call.nr) {
        if (alternative.every(masksNothing)) return "whatever the arguments";
        if (alternative.every((arg) => argHolds(arg, call, bits))) match = "by the arguments";
      }
      if (multiplexed?.multiplexer === call.nr && BigInt.asUintN(32, call.args[0]!) === multiplexed.subcall)
        if (alternative.every((arg) => arg.index === 0 || argHolds(arg, call, bits))) match = "by the arguments";
    }
  }
  return match;
}

function archOf(call: Call, native: NativeArch): SeccompArch | undefined {
  const arch = FAMILY[native].find((candidate) => AUDIT_ARCH[candidate] === call.arch);
  return arch === "x86_64" && call.nr >= 0x40000000 ? "x32" : arch;
}

/** Whether the call is newer than any that the section names for `arch`, and not one of its rules' own. */
function isNewerThanKnown(seccomp: OciSeccomp, arch: SeccompArch, call: Call, rules: OciSeccompRule[]): boolean {
  const isPrivate = (nr: number) => arch === "arm" && nr >= 0xf0000;
  const named = (seccomp.syscalls ?? []).flatMap((rule) => rule.names.map((name) => syscallNumber(arch, name) ?? -1));
  const newest = Math.max(-1, ...named.filter((nr) => !isPrivate(nr)));
  const hasRule =
    arch === "i386" && rules.some((rule) => rule.names.some((name) => I386_SUBCALLS[name]?.multiplexer === call.nr));
  return newest >= 0 && call.nr > newest && !isPrivate(call.nr) && !hasRule;
}

/** The SECCOMP_RET_… that `seccomp` gives `call` on a kernel built for `native`. */
export function referenceVerdict(seccomp: OciSeccomp, native: NativeArch, call: Call): number {
  const otherwise = ret(seccomp.defaultAction, seccomp.defaultErrnoRet);
  const listed = (seccomp.architectures ?? []).map((name) => ARCH_NAMES[name]);
  const arch = archOf(call, native);
  if (!arch) return KILL;
  if (arch !== native && !listed.includes(arch)) return arch === "x32" && call.nr === 0xffffffff ? otherwise : KILL;

  const rules = (seccomp.syscalls ?? []).filter((rule) => ret(rule.action, rule.errnoRet) !== otherwise);
  const matching = (wanted: Match) => rules.find((rule) => matchRule(rule, arch, call) === wanted);
  const decides = matching("whatever the arguments") ?? matching("by the arguments");
  if (decides) return ret(decides.action, decides.errnoRet);

  const permissive = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].includes(seccomp.defaultAction);
  return listed.includes(arch) && !permissive && isNewerThanKnown(seccomp, arch, call, rules) ? ENOSYS : otherwise;
}

const NAMES = [
  "read",
  "write",
  "close",
  "socket",
  "connect",
  "shmget",
  "clone",
  "clone3",
  "personality",
  "openat2",
  "execve",
  "futex_time64",
  "cacheflush",
  "mmap2",
  "arch_prctl",
  "setxattrat",
  "no_such_call",
];
const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
/** Boundary values of the two words that a comparison consists of. */
const VALUES = [
  0n,
  1n,
  2n,
  0x7fffffffn,
  0xffffffffn,
  0x1_00000000n,
  0x1_00000001n,
  0xffffffff_00000000n,
  2n ** 64n - 1n,
];

function randomU64(random: Random): bigint {
  return random.below(4) > 0 ? random.pick(VALUES) : (BigInt(random.u32()) << 32n) | BigInt(random.u32());
}

function randomArg(random: Random): OciSeccompArg {
  return {
    index: random.below(random.pick([2, 6])),
    op: `SCMP_CMP_${random.pick(OPERATORS)}`,
    value: randomU64(random),
    valueTwo: randomU64(random),
  };
}

/** No errno in most cases, otherwise one that the action accepts. */
function randomErrno(random: Random, action: string): number | undefined {
  return /ERRNO|TRACE/.test(action) && random.below(2) === 0 ? random.below(200) : undefined;
}

export interface RandomSeccompOptions {
  actions: readonly string[];
  /** The actions to choose the default from; if absent, `actions`. */
  defaultActions?: readonly string[];
  architectures: readonly string[];
  maxRules: number;
}

export function randomSeccomp(random: Random, options: RandomSeccompOptions): OciSeccomp {
  const defaultAction = random.pick(options.defaultActions ?? options.actions);
  const defaultErrnoRet = randomErrno(random, defaultAction);
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    ...(random.below(4) > 0 ? { architectures: options.architectures.filter(() => random.below(4) > 0) } : {}),
    syscalls: Array.from({ length: random.below(options.maxRules + 1) }, () => {
      const action = random.pick(options.actions);
      const errnoRet = randomErrno(random, action);
      return {
        names: Array.from({ length: 1 + random.below(3) }, () => random.pick(NAMES)),
        action,
        ...(errnoRet === undefined ? {} : { errnoRet }),
        ...(random.below(3) > 0 ? { args: Array.from({ length: random.below(4) }, () => randomArg(random)) } : {}),
      };
    }),
  };
}

/** A call that is likely to be near something that `seccomp` decides on. */
export function randomCall(random: Random, seccomp: OciSeccomp, arches: readonly SeccompArch[]): Call {
  const arch = random.pick(arches);
  const rule = seccomp.syscalls?.length ? random.pick(seccomp.syscalls) : undefined;
  const named = (rule && syscallNumber(arch, random.pick(rule.names))) ?? 102;
  const nr = random.pick([
    named,
    named,
    named,
    named + random.below(3),
    random.pick([102, 117]),
    random.below(500),
    random.below(500) + 0x40000000,
    random.pick([0xf0000, 0xf0002, 0xf0007, 0x3fffffff, 0x40000000, 0xffffffff]),
  ]);
  const args = Array.from({ length: 6 }, () => randomU64(random));
  for (const arg of rule?.args ?? []) {
    const near = BigInt(random.pick([arg.value, arg.valueTwo ?? 0])) + BigInt(random.below(3) - 1);
    if (random.below(3) > 0) args[arg.index] = BigInt.asUintN(64, near);
  }
  if (nr === 102 || nr === 117) args[0] = random.pick([1n, 3n, 23n, 4n]);
  return { arch: AUDIT_ARCH[arch], nr, args };
}
