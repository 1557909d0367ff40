/** Reads the runtime-spec's seccomp section and resolves it to what each architecture's filter must decide. */
import { LighterError } from "../../base/errors.ts";
import { SECCOMP_MAX_RULES } from "../../base/limits.ts";
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from "../../spec/oci-runtime.ts";
import { errnoNumber } from "../sys/errno.ts";
import { ARCH_FAMILY, ARCH_INFO, ARM_PRIVATE_BASE, SCMP_ARCHES, type SeccompArch, syscallNumber } from "./arch.ts";
import type { NativeArch } from "./native.ts";

const RET_KILL_PROCESS = 0x80000000;
export const RET_KILL_THREAD = 0x00000000;
const RET_TRAP = 0x00030000;
const RET_ERRNO = 0x00050000;
const RET_USER_NOTIF = 0x7fc00000;
const RET_TRACE = 0x7ff00000;
const RET_LOG = 0x7ffc0000;
const RET_ALLOW = 0x7fff0000;

const RET_ENOSYS = RET_ERRNO | errnoNumber("ENOSYS");
/** The kernel's MAX_ERRNO; the kernel would silently turn larger numbers into others. */
const MAX_ERRNO = 4095;

/** SECCOMP_RET_… by runtime-spec name (linux/seccomp.h). The low 16 bits are the action's data. */
export const ACTION_BY_NAME: ReadonlyMap<string, { ret: number; maxErrnoRet?: number }> = new Map([
  ["SCMP_ACT_KILL", { ret: RET_KILL_THREAD }],
  ["SCMP_ACT_KILL_THREAD", { ret: RET_KILL_THREAD }],
  ["SCMP_ACT_KILL_PROCESS", { ret: RET_KILL_PROCESS }],
  ["SCMP_ACT_TRAP", { ret: RET_TRAP }],
  ["SCMP_ACT_ERRNO", { ret: RET_ERRNO, maxErrnoRet: MAX_ERRNO }],
  ["SCMP_ACT_TRACE", { ret: RET_TRACE, maxErrnoRet: 0xffff }],
  ["SCMP_ACT_ALLOW", { ret: RET_ALLOW }],
  ["SCMP_ACT_LOG", { ret: RET_LOG }],
  ["SCMP_ACT_NOTIFY", { ret: RET_USER_NOTIF }],
]);

const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] as const;
type Operator = (typeof OPERATORS)[number];
export const OPERATOR_BY_NAME: ReadonlyMap<string, Operator> = new Map(OPERATORS.map((op) => [`SCMP_CMP_${op}`, op]));

/** The comparison `(args[arg] & mask) op datum`, unsigned; mask is all ones except for MASKED_EQ. */
export interface Condition {
  arg: number;
  op: Operator;
  mask: bigint;
  datum: bigint;
}

/** A rule that holds if all of its conditions do. */
export interface ConditionalRule {
  conditions: readonly Condition[];
  action: number;
}

/**
 * What to do with one number: an action at once, or the first rule that holds, or else the default action. There is one object
 * for each action, so that === tells whether two numbers are decided alike.
 */
export type Decision = { action: number } | { rules: ConditionalRule[] };

export interface ArchPolicy {
  arch: SeccompArch;
  decisions: Map<number, Decision>;
  /** Ordinary numbers above this one get ENOSYS. If it is absent, they get the default action. */
  newestKnown?: number;
}

export interface Policy {
  /** The architectures, the native one first. */
  arches: ArchPolicy[];
  otherwise: { action: number };
  /** The action for calls newer than the profile. */
  unknown: { action: number };
  usesNotify: boolean;
}

const U64_MAX = 0xffffffffffffffffn;
const U32_MAX = 0xffffffffn;

function invalid(path: string, what: string): LighterError {
  return new LighterError("invalid", `linux.seccomp.${path} ${what}`);
}

function readAction(name: string, errnoRet: number | undefined, path: string, errnoPath: string): number {
  const action = ACTION_BY_NAME.get(name);
  if (!action) throw invalid(path, `"${name}" is not an action`);
  if (errnoRet === undefined) return action.maxErrnoRet === undefined ? action.ret : action.ret | errnoNumber("EPERM");
  // config-linux.md#seccomp: an errno for an action that has none must fail.
  if (action.maxErrnoRet === undefined) throw invalid(errnoPath, `is given, but ${name} returns no errno`);
  if (!Number.isInteger(errnoRet) || errnoRet < 0 || errnoRet > action.maxErrnoRet)
    throw invalid(errnoPath, `${errnoRet} is not in 0–${action.maxErrnoRet}`);
  return action.ret | errnoRet;
}

function readU64(value: number | bigint, path: string): bigint {
  if (typeof value === "bigint" ? value >= 0n && value <= U64_MAX : Number.isSafeInteger(value) && value >= 0)
    return BigInt(value);
  throw invalid(path, `${value} is not an unsigned 64-bit integer`);
}

function readCondition(arg: OciSeccompArg, path: string): Condition {
  if (typeof arg !== "object" || arg === null) throw invalid(path, "is not an object");
  if (!Number.isInteger(arg.index) || arg.index < 0 || arg.index > 5)
    throw invalid(`${path}.index`, `${arg.index} is not in 0–5`);
  const op = OPERATOR_BY_NAME.get(arg.op);
  if (!op) throw invalid(`${path}.op`, `"${arg.op}" is not a comparison`);
  const value = readU64(arg.value, `${path}.value`);
  const valueTwo = readU64(arg.valueTwo ?? 0, `${path}.valueTwo`);
  // For MASKED_EQ the mask comes first. The datum's bits outside it are ignored, as libseccomp does.
  if (op === "MASKED_EQ") return { arg: arg.index, op, mask: value, datum: valueTwo & value };
  return { arg: arg.index, op, mask: U64_MAX, datum: value };
}

interface Rule {
  names: readonly string[];
  /** One object for each action: see Decision. */
  decision: { action: number };
  /** At least one of these must hold: a list of conditions that all hold. An empty list always holds. */
  anyOf: readonly (readonly Condition[])[];
}

function readRule(rule: OciSeccompRule, path: string, decisionOf: (action: number) => { action: number }): Rule {
  // The shapes are checked too: the section may come straight from somebody's config.json.
  if (!Array.isArray(rule?.names)) throw invalid(`${path}.names`, "is not a list");
  const nameless = rule.names.findIndex((name) => typeof name !== "string" || name === "");
  if (nameless >= 0) throw invalid(`${path}.names[${nameless}]`, "is not a name");
  if (!Array.isArray(rule.args ?? [])) throw invalid(`${path}.args`, "is not a list");
  const conditions = (rule.args ?? []).map((arg, index) => readCondition(arg, `${path}.args[${index}]`));
  // Two comparisons of one argument are alternatives, not a range: runc has always done so (runc issue 2735), and profiles in use
  // depend on it.
  const repeats = new Set(conditions.map((condition) => condition.arg)).size < conditions.length;
  return {
    names: rule.names,
    decision: decisionOf(readAction(rule.action, rule.errnoRet, `${path}.action`, `${path}.errnoRet`)),
    anyOf: repeats ? conditions.map((condition) => [condition]) : [conditions],
  };
}

interface Multiplexed {
  multiplexer: "socketcall" | "ipc";
  subcall: number;
}

/** Sub-call numbers of i386's socketcall(2) and ipc(2): linux/net.h SYS_…, linux/ipc.h. */
const I386_MULTIPLEXED: ReadonlyMap<string, Multiplexed> = new Map<string, Multiplexed>([
  ...[
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
  ].map((name, index) => [name, { multiplexer: "socketcall", subcall: index + 1 }] as const),
  ...Object.entries({
    semop: 1,
    semget: 2,
    semctl: 3,
    semtimedop: 4,
    msgsnd: 11,
    msgrcv: 12,
    msgget: 13,
    msgctl: 14,
    shmat: 21,
    shmdt: 22,
    shmget: 23,
    shmctl: 24,
  }).map(([name, subcall]) => [name, { multiplexer: "ipc", subcall }] as const),
]);

/** On a 32-bit ABI only the low words are compared; a mask of nothing always holds. */
function conditionsFor(arch: SeccompArch, conditions: readonly Condition[]): Condition[] {
  const width = ARCH_INFO[arch].argBits === 64 ? U64_MAX : U32_MAX;
  return conditions
    .map((condition) => ({ ...condition, mask: condition.mask & width, datum: condition.datum & width }))
    .filter((condition) => condition.mask !== 0n);
}

/**
 * Adds a rule. An unconditional rule decides alone; of several, the first counts. Conditional ones are tried in their order.
 * libseccomp: src/db.c, db_rule_add(); it has no defined order for overlapping rules with different actions.
 */
function addRule(
  policy: ArchPolicy,
  number: number,
  conditions: readonly Condition[],
  decision: Rule["decision"],
): void {
  const { decisions } = policy;
  const before = decisions.get(number);
  if (before && "action" in before) return;
  const own = conditions.length === 0 ? conditions : conditionsFor(policy.arch, conditions);
  if (own.length === 0) decisions.set(number, decision);
  else if (before) before.rules.push({ conditions: own, action: decision.action });
  else decisions.set(number, { rules: [{ conditions: own, action: decision.action }] });
}

/**
 * Adds a rule for the old way to make the same call. There, argument 0 is the sub-call and the call's own arguments are in
 * memory, so a condition on argument 0 cannot be kept. libseccomp does the same (src/arch.c, abi_rule_add()).
 */
function addMultiplexed(policy: ArchPolicy, rule: Rule, name: string): void {
  const multiplexed = I386_MULTIPLEXED.get(name);
  if (!multiplexed) return;
  const isSubcall: Condition = { arg: 0, op: "EQ", mask: U64_MAX, datum: BigInt(multiplexed.subcall) };
  for (const conditions of rule.anyOf) {
    const others = conditions.filter((condition) => condition.arg !== 0);
    addRule(policy, syscallNumber("i386", multiplexed.multiplexer)!, [isSubcall, ...others], rule.decision);
  }
}

function archPolicy(
  arch: SeccompArch,
  rules: readonly Rule[],
  otherwise: Policy["otherwise"],
  listed: boolean,
): ArchPolicy {
  const policy: ArchPolicy = { arch, decisions: new Map() };
  let newest = -1;
  for (const rule of rules) {
    // As in runc, a rule for the default action is ignored, but its calls count as known.
    const counts = rule.decision !== otherwise;
    for (const name of rule.names) {
      if (counts && arch === "i386") addMultiplexed(policy, rule, name);
      const number = syscallNumber(arch, name);
      // This architecture has no such name: profiles name the calls of all architectures, and of newer kernels.
      if (number === undefined) continue;
      if (number > newest && !(arch === "arm" && number >= ARM_PRIVATE_BASE)) newest = number;
      if (counts) for (const conditions of rule.anyOf) addRule(policy, number, conditions, rule.decision);
    }
  }
  // A call newer than the profile must fail as on an older kernel, or libc does not fall back to the older call: so with ENOSYS,
  // not the default EPERM. As in runc, only for architectures that the profile lists.
  const permissive = [RET_ALLOW, RET_LOG, RET_TRACE].includes((otherwise.action & 0xffff0000) >>> 0);
  return listed && !permissive && newest >= 0 ? { ...policy, newestKnown: newest } : policy;
}

/**
 * The policy of `seccomp` on a kernel built for `native`.
 * Source: runtime-spec config-linux.md#seccomp; runc libcontainer/seccomp and libseccomp 2.6 where it is silent.
 * @throws LighterError ("invalid") naming the JSON path of the first bad value.
 */
export function readPolicy(seccomp: OciSeccomp, native: NativeArch): Policy {
  const interned = new Map<number, { action: number }>();
  const decisionOf = (action: number) => {
    const decision = interned.get(action) ?? { action };
    interned.set(action, decision);
    return decision;
  };
  const otherwise = decisionOf(
    readAction(seccomp.defaultAction, seccomp.defaultErrnoRet, "defaultAction", "defaultErrnoRet"),
  );
  // The process that starts the container must still be able to write(2) the listener's fd to us.
  if (otherwise.action === RET_USER_NOTIF) throw invalid("defaultAction", "cannot be SCMP_ACT_NOTIFY");
  const given = seccomp.syscalls ?? [];
  if (!Array.isArray(given)) throw invalid("syscalls", "is not a list");
  if (given.length > SECCOMP_MAX_RULES)
    throw invalid("syscalls", `has ${given.length} rules, more than ${SECCOMP_MAX_RULES}`);
  const rules = given.map((rule, index) => readRule(rule, `syscalls[${index}]`, decisionOf));
  const notifying = rules.filter((rule) => rule.decision.action === RET_USER_NOTIF);
  for (const rule of notifying)
    if (rule.names.includes("write"))
      throw invalid(`syscalls[${rules.indexOf(rule)}].action`, "SCMP_ACT_NOTIFY cannot be used for the write syscall");

  const listed = listedArches(seccomp, native);
  // The native architecture is always included, as with libseccomp; others are killed if they are not listed.
  const arches = ARCH_FAMILY[native].filter((arch) => arch === native || listed.has(arch));
  return {
    arches: arches.map((arch) => archPolicy(arch, rules, otherwise, listed.has(arch))),
    otherwise,
    unknown: decisionOf(RET_ENOSYS),
    usesNotify: notifying.length > 0,
  };
}

function listedArches(seccomp: OciSeccomp, native: NativeArch): Set<SeccompArch> {
  const names = seccomp.architectures ?? [];
  if (!Array.isArray(names)) throw invalid("architectures", "is not a list");
  const arches = names.map((name, index) => {
    const arch = SCMP_ARCHES.get(name);
    if (arch === undefined) throw invalid(`architectures[${index}]`, `"${name}" is not an architecture`);
    return arch;
  });
  // An architecture that this machine cannot run needs no code: seccomp_data.arch never names it.
  return new Set(ARCH_FAMILY[native].filter((arch) => arches.includes(arch)));
}
