/** Ops on /proc, through a procfs of their own. */
import { LighterError } from "../base/errors.ts";
import { OCI_LIST_MAX } from "../base/limits.ts";
import { O, type OpList } from "../linux/program/builder.ts";
import type { Slot } from "../linux/program/op.ts";
import type { OciConfig, OciProcess } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import type { NamespacePlan } from "./namespaces.ts";

/**
 * A procfs of this start's own that is not mounted anywhere: no mount, of whatever container or host, can stand between a path in
 * it and the file that is meant (CVE-2019-16884, CVE-2025-52881). Every write to /proc goes through it.
 */
export const PRIVATE_PROC: Slot = "procfs";

export const PROC_SUPER_MAGIC = 0x9fa0;

/** Why a start or an exec needs a procfs; without a reason none is made. */
export interface ProcNeeds {
  /** True if `sys` is needed, besides the processes. */
  sysctls: boolean;
  processes: boolean;
}

/**
 * Host side, before the clone: opens the procfs. The child has it too, and its `self` is whoever looks, in whatever namespaces.
 * In a user namespace a procfs of the host's processes may not be mounted: then the existing one must do.
 */
export function openPrivateProc(host: OpList, facts: HostFacts, needs: ProcNeeds): void {
  if (!needs.sysctls && !needs.processes) return;
  const why = "a procfs of our own, to write through";
  const uidMap = facts.readText?.("/proc/self/uid_map");
  if (uidMap === undefined || /^\s*0\s+0\s+4294967295\s*$/.test(uidMap)) {
    const parameters = needs.sysctls ? [] : [{ key: "subset", value: "pid" }];
    host.newFilesystem("proc", parameters, 0, PRIVATE_PROC, why);
  } else {
    host.open("/proc", O.PATH | O.DIRECTORY, PRIVATE_PROC, "the procfs, to write through");
    host.add({ kind: "checkFilesystem", fd: PRIVATE_PROC, magic: PROC_SUPER_MAGIC, why: "/proc is a procfs" });
  }
}

/** Host side, after the clone: closes it. */
export function closePrivateProc(host: OpList, needs: ProcNeeds): void {
  if (needs.sysctls || needs.processes) host.close(PRIVATE_PROC, "done with our procfs");
}

/** In the child: sets its own OOM score. */
export function writeOomScore(init: OpList, process: OciProcess): void {
  const { oomScoreAdj } = process;
  if (oomScoreAdj === undefined) return;
  init.write(PRIVATE_PROC, "self/oom_score_adj", oomScore(oomScoreAdj), "process.oomScoreAdj");
}

/** Host side: sets the OOM score of a child in a user namespace of its own, to which its files in /proc do not belong. */
export function writeOomScoreOf(host: OpList, process: OciProcess, pid: Slot): void {
  const { oomScoreAdj } = process;
  if (oomScoreAdj === undefined) return;
  const data = oomScore(oomScoreAdj);
  const why = "process.oomScoreAdj";
  host.add({ kind: "writeByPid", dir: PRIVATE_PROC, prefix: "", pid, suffix: "/oom_score_adj", data, why });
}

/** The text for oom_score_adj. Source: proc_pid_oom_score_adj(5). */
function oomScore(value: number): string {
  if (!Number.isInteger(value) || value < -1000 || value > 1000)
    throw new LighterError("invalid", `process.oomScoreAdj ${value} is not between -1000 and 1000`);
  return String(value);
}

/** In the child, in its namespaces: writes the sysctls. */
export function writeSysctls(init: OpList, sysctls: readonly PlannedSysctl[]): void {
  for (const { key, path, value } of sysctls) init.write(PRIVATE_PROC, path, value, `linux.sysctl ${key}`);
}

export interface PlannedSysctl {
  key: string;
  /** The path in a procfs. */
  path: string;
  value: string;
}

/** Sysctls of the ipc namespace that have no prefix of their own. Source: ipc_namespaces(7), ipc/ipc_sysctl.c. */
const IPC_SYSCTLS: ReadonlySet<string> = new Set(
  "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split(" ").map((name) => `kernel/${name}`),
);

/**
 * The files below /proc/sys, and what to write into them. As in runc, only settings of the container's own namespaces are
 * allowed: all others are the host's.
 * Source: runtime-spec config-linux.md#sysctl.
 */
export function planSysctls(config: OciConfig, namespaces: NamespacePlan, host: HostFacts): PlannedSysctl[] {
  const entries = Object.entries(config.linux?.sysctl ?? {});
  if (entries.length > OCI_LIST_MAX) throw new LighterError("invalid", `linux.sysctl has ${entries.length} entries`);
  return entries.map(([key, value]) => {
    const path = sysctlPath(key);
    checkSysctl(key, path, (type) => ownNamespace(namespaces, host, type));
    // A value is one line. Programs that print or parse it would take more lines for further settings.
    if (typeof value !== "string" || /[\n\0]/.test(value))
      throw new LighterError("invalid", `linux.sysctl "${key}": the value holds a line break`);
    return { key, path: `sys/${path}`, value };
  });
}

const NAMESPACE_FILES = { ipc: "ipc", network: "net", uts: "uts", user: "user" } as const;

function ownNamespace(plan: NamespacePlan, host: HostFacts, type: keyof typeof NAMESPACE_FILES): boolean {
  if (plan.created.has(type)) return true;
  const path = plan.joined.get(type);
  if (path === undefined) return false;
  const joined = host.namespaceId?.(path);
  return joined === undefined || joined !== host.namespaceId?.(`/proc/self/ns/${NAMESPACE_FILES[type]}`);
}

function checkSysctl(key: string, path: string, own: (type: keyof typeof NAMESPACE_FILES) => boolean): void {
  const allowed = () => {
    if (IPC_SYSCTLS.has(path) || path.startsWith("fs/mqueue/")) return own("ipc");
    if (path.startsWith("net/")) return own("network");
    if (path.startsWith("user/")) return own("user");
    if (path === "kernel/domainname") return own("uts");
    if (path === "kernel/hostname")
      throw new LighterError(
        "invalid",
        `linux.sysctl "${key}" is not allowed as it conflicts with the OCI "hostname" field`,
      );
    return false;
  };
  if (!allowed())
    throw new LighterError("invalid", `linux.sysctl "${key}" is not in a separate kernel namespace`, {
      hint: "a container can change only what belongs to its own namespaces",
    });
}

/**
 * The path of a sysctl. The first separator tells how the key is written: net.ipv4.conf.eth0/1.forwarding, where a slash is the
 * dot of an interface's name, or net/ipv4/conf/eth0.1/forwarding. Source: sysctl.d(5).
 */
export function sysctlPath(key: string): string {
  const path =
    /[./]/.exec(key)?.[0] === "/" ? key : key.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  if (/[^\w.\-/:*+@]/.test(key) || path.split("/").some((part) => part === "" || part === "." || part === ".."))
    throw new LighterError("invalid", `linux.sysctl: bad key "${key}"`);
  return path;
}
