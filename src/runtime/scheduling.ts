/** Ops for scheduling: scheduler, I/O priority, CPUs, memory policy, personality. */
import { LighterError } from "../base/errors.ts";
import { CPUSET_MAX_NUMBER } from "../base/limits.ts";
import type { OpList } from "../linux/program/builder.ts";
import type { OciLinux, OciProcess, OciScheduler } from "../spec/oci-runtime.ts";

/* How the kernel runs a process: scheduler, I/O priority, CPUs, personality. */

const SELF = 0;

/** Numbers of scheduling policies. Source: sched(7), linux/sched.h. */
const POLICIES: ReadonlyMap<string, number> = new Map([
  ["SCHED_OTHER", 0],
  ["SCHED_FIFO", 1],
  ["SCHED_RR", 2],
  ["SCHED_BATCH", 3],
  ["SCHED_ISO", 4],
  ["SCHED_IDLE", 5],
  ["SCHED_DEADLINE", 6],
]);
const REAL_TIME: ReadonlySet<string> = new Set(["SCHED_FIFO", "SCHED_RR"]);

/** Bits of scheduling flags. Source: linux/sched.h. */
const SCHED_FLAGS: ReadonlyMap<string, bigint> = new Map([
  ["SCHED_FLAG_RESET_ON_FORK", 0x01n],
  ["SCHED_FLAG_RECLAIM", 0x02n],
  ["SCHED_FLAG_DL_OVERRUN", 0x04n],
  ["SCHED_FLAG_KEEP_POLICY", 0x08n],
  ["SCHED_FLAG_KEEP_PARAMS", 0x10n],
  ["SCHED_FLAG_UTIL_CLAMP_MIN", 0x20n],
  ["SCHED_FLAG_UTIL_CLAMP_MAX", 0x40n],
]);

function integer(value: number | bigint | undefined, field: string, min: bigint, max: bigint): bigint {
  if (value === undefined) return 0n;
  if (typeof value === "number" && !Number.isInteger(value))
    throw new LighterError("invalid", `${field}: ${value} is not an integer`);
  const exact = BigInt(value);
  if (exact < min || exact > max) throw new LighterError("invalid", `${field}: ${value} is not in ${min}–${max}`);
  return exact;
}

/**
 * A `struct sched_attr` in its second version: u32 size, u32 policy, u64 flags, s32 nice, u32 priority, u64 runtime, u64
 * deadline, u64 period, u32 util_min, u32 util_max. Source: sched_setattr(2), runtime-spec config.md#process.
 * @throws LighterError ("invalid") for parameters of another policy, as runc refuses them.
 */
export function encodeSchedAttr(scheduler: OciScheduler): Uint8Array {
  const field = "process.scheduler";
  const policy = POLICIES.get(scheduler.policy);
  if (policy === undefined) throw new LighterError("invalid", `${field}.policy "${scheduler.policy}" is unknown`);
  let flags = 0n;
  for (const [index, name] of (scheduler.flags ?? []).entries()) {
    const flag = SCHED_FLAGS.get(name);
    if (flag === undefined) throw new LighterError("invalid", `${field}.flags[${index}] "${name}" is unknown`);
    flags |= flag;
  }
  const U64 = 2n ** 64n - 1n;
  const nice = integer(scheduler.nice, `${field}.nice`, -20n, 19n);
  const priority = integer(scheduler.priority, `${field}.priority`, 0n, 99n);
  const runtime = integer(scheduler.runtime, `${field}.runtime`, 0n, U64);
  const deadline = integer(scheduler.deadline, `${field}.deadline`, 0n, U64);
  const period = integer(scheduler.period, `${field}.period`, 0n, U64);
  if (priority !== 0n && !REAL_TIME.has(scheduler.policy))
    throw new LighterError("invalid", `${field}.priority is for SCHED_FIFO and SCHED_RR only`);
  if ((runtime !== 0n || deadline !== 0n || period !== 0n) && scheduler.policy !== "SCHED_DEADLINE")
    throw new LighterError("invalid", `${field}: runtime, deadline and period are for SCHED_DEADLINE only`);

  const data = new Uint8Array(56);
  const view = new DataView(data.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(4, policy, true);
  view.setBigUint64(8, flags, true);
  view.setInt32(16, Number(nice), true);
  view.setUint32(20, Number(priority), true);
  view.setBigUint64(24, runtime, true);
  view.setBigUint64(32, deadline, true);
  view.setBigUint64(40, period, true);
  return data;
}

/** Numbers of I/O classes. Source: linux/ioprio.h. */
const IO_CLASSES: ReadonlyMap<string, number> = new Map([
  ["IOPRIO_CLASS_RT", 1],
  ["IOPRIO_CLASS_BE", 2],
  ["IOPRIO_CLASS_IDLE", 3],
]);
const IOPRIO_CLASS_SHIFT = 13;
const IOPRIO_WHO_PROCESS = 1;

function ioPriorityValue({ class: name, priority }: NonNullable<OciProcess["ioPriority"]>): number {
  const number = IO_CLASSES.get(name);
  if (number === undefined) throw new LighterError("invalid", `process.ioPriority.class "${name}" is unknown`);
  return (number << IOPRIO_CLASS_SHIFT) | Number(integer(priority ?? 0, "process.ioPriority.priority", 0n, 7n));
}

/**
 * The bits of a list of CPUs: "0-3,7". Source: cpuset(7), "List format".
 * @throws LighterError ("invalid") naming the field, for a list that is empty or malformed.
 */
export function parseCpuList(list: string, field: string): Uint8Array {
  const mask = new Uint8Array((CPUSET_MAX_NUMBER + 1) / 8);
  for (const part of list.split(",")) {
    const [, first, last = first] = /^\s*(\d{1,9})(?:-(\d{1,9}))?\s*$/.exec(part) ?? [];
    if (first === undefined || Number(first) > Number(last) || Number(last) > CPUSET_MAX_NUMBER)
      throw new LighterError("invalid", `${field}: "${list}" is not a list of numbers`);
    for (let cpu = Number(first); cpu <= Number(last); cpu++) mask[cpu >> 3]! |= 1 << (cpu & 7);
  }
  return mask;
}

function maskOf(bits: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bits).reverse().toString("hex")}`);
}

/**
 * In the child, in its cgroup: allows all CPUs, since our caller's are not meant for it. The kernel reduces them to those of the
 * cpuset, which it does by itself only up to Linux 6.1.
 */
export function resetAffinity(init: OpList): void {
  const data = new Uint8Array((CPUSET_MAX_NUMBER + 1) / 8).fill(0xff);
  const tolerate = ["EPERM", "EINVAL"]; // fewer CPUs do no harm
  init.call("sched_setaffinity", [SELF, data.length, { data, show: "all CPUs" }], "those of its cpuset", { tolerate });
}

/** In the child: sets its CPUs. `initial` applies before it joins the container's cgroup, `final` after. */
export function setAffinity(init: OpList, process: OciProcess, when: "initial" | "final"): void {
  const list = process.execCPUAffinity?.[when];
  if (!list) return;
  const field = `process.execCPUAffinity.${when}`;
  const data = parseCpuList(list, field);
  const why = `${field}: affinity: 0x${maskOf(data).toString(16)}`; // in runc's words, which tools read
  init.call("sched_setaffinity", [SELF, data.length, { data, show: `CPUs ${list}` }], why);
}

/** In the child, while it may: sets these as root, before the filter. */
export function setScheduling(init: OpList, process: OciProcess): void {
  const { scheduler, ioPriority } = process;
  if (scheduler) {
    const data = encodeSchedAttr(scheduler);
    init.call("sched_setattr", [SELF, { data, show: JSON.stringify(scheduler) }, 0], "process.scheduler");
  }
  if (ioPriority)
    init.call("ioprio_set", [IOPRIO_WHO_PROCESS, SELF, ioPriorityValue(ioPriority)], "process.ioPriority");
}

/** Numbers of memory policies. Source: set_mempolicy(2), linux/mempolicy.h. */
const MEMORY_MODES: ReadonlyMap<string, number> = new Map([
  ["MPOL_DEFAULT", 0],
  ["MPOL_PREFERRED", 1],
  ["MPOL_BIND", 2],
  ["MPOL_INTERLEAVE", 3],
  ["MPOL_LOCAL", 4],
  ["MPOL_PREFERRED_MANY", 5],
  ["MPOL_WEIGHTED_INTERLEAVE", 6],
]);
const MEMORY_FLAGS: ReadonlyMap<string, number> = new Map([
  ["MPOL_F_NUMA_BALANCING", 1 << 13],
  ["MPOL_F_RELATIVE_NODES", 1 << 14],
  ["MPOL_F_STATIC_NODES", 1 << 15],
]);
/** The kernel's bound (CONFIG_NODES_SHIFT) is 1024 nodes. It uses one bit less than the length it is given. */
const MEMORY_NODES = 1024;

export const MEMORY_POLICY_NAMES = { modes: [...MEMORY_MODES.keys()], flags: [...MEMORY_FLAGS.keys()] };

/**
 * In the child, in its cgroup: sets its memory policy. Nodes outside its cpuset are refused. Source: runtime-spec
 * config-linux.md#memory-policy.
 */
export function setMemoryPolicy(init: OpList, linux: OciLinux | undefined): void {
  const policy = linux?.memoryPolicy;
  if (!policy) return;
  const field = "linux.memoryPolicy";
  const mode = MEMORY_MODES.get(policy.mode);
  if (mode === undefined) throw new LighterError("invalid", `${field}.mode "${policy.mode}" is unknown`);
  const flags = (policy.flags ?? []).map((name) => {
    const flag = MEMORY_FLAGS.get(name);
    if (flag === undefined) throw new LighterError("invalid", `${field}.flags: "${name}" is unknown`);
    return flag;
  });
  const data = new Uint8Array(MEMORY_NODES + 1);
  const nodes = policy.nodes ? parseCpuList(policy.nodes, `${field}.nodes`) : new Uint8Array(0);
  if (nodes.subarray(MEMORY_NODES / 8).some((byte) => byte !== 0))
    throw new LighterError("invalid", `${field}.nodes: "${policy.nodes}" has more than ${MEMORY_NODES} nodes`);
  data.set(nodes.subarray(0, MEMORY_NODES / 8));
  const number = flags.reduce((sum, flag) => sum | flag, mode);
  const show = `${[policy.mode, ...(policy.flags ?? [])].join("|")}: nodes ${policy.nodes ?? "none"}`;
  init.call("set_mempolicy", [number, { data, show }, MEMORY_NODES + 1], field);
}

/** Numbers of personalities. Source: personality(2); runtime-spec config-linux.md#personality, which knows no flags yet. */
const DOMAINS: ReadonlyMap<string, number> = new Map([
  ["LINUX", 0],
  ["LINUX32", 8],
]);

export function setPersonality(init: OpList, linux: OciLinux | undefined): void {
  const personality = linux?.personality;
  if (!personality) return;
  const domain = DOMAINS.get(personality.domain);
  if (domain === undefined)
    throw new LighterError("invalid", `linux.personality.domain "${personality.domain}" is unknown`);
  const [flag] = personality.flags ?? [];
  if (flag !== undefined)
    throw new LighterError("not-supported", `linux.personality.flags: "${flag}" is not supported`);
  init.call("personality", [domain], "linux.personality");
}
