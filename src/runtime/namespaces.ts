/** Ops that make, join and prepare namespaces. */
import { LighterError } from "../base/errors.ts";
import { O, type OpList, slot } from "../linux/program/builder.ts";
import type { Slot } from "../linux/program/op.ts";
import { AF_INET, SOCK_DGRAM_CLOEXEC } from "../linux/sys/abi.ts";
import type { NamespaceType, OciConfig, OciIdMapping, OciProcess } from "../spec/oci-runtime.ts";
import { PRIVATE_PROC, writeOomScoreOf } from "./proc.ts";

export const CLONE = {
  time: 0x80,
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const satisfies Record<NamespaceType, number>;

/** The config's namespaces, sorted by how each is handled. */
export interface NamespacePlan {
  created: ReadonlySet<NamespaceType>;
  joined: ReadonlyMap<NamespaceType, string>;
}

export const SLOT_INIT: Slot = "init";

/**
 * Plans the namespaces. @throws LighterError ("invalid") for a type that is unknown or listed twice; ("not-supported") without
 * "mount".
 */
export function planNamespaces(config: OciConfig): NamespacePlan {
  const created = new Set<NamespaceType>();
  const joined = new Map<NamespaceType, string>();
  for (const [index, { type, path }] of (config.linux?.namespaces ?? []).entries()) {
    const where = `linux.namespaces[${index}]`;
    if (!Object.hasOwn(CLONE, type)) throw new LighterError("invalid", `${where}: unknown type "${type}"`);
    if (created.has(type) || joined.has(type)) throw new LighterError("invalid", `${where}: "${type}" is listed twice`);
    if (path === undefined || path === "") created.add(type);
    else if (path.startsWith("/")) joined.set(type, path);
    else throw new LighterError("invalid", `${where}.path "${path}" is not absolute`);
  }
  if (!created.has("mount")) {
    const { maskedPaths = [], readonlyPaths = [] } = config.linux ?? {};
    if (!joined.has("mount") && maskedPaths.length + readonlyPaths.length > 0)
      throw new LighterError("invalid", "unable to restrict sys entries without a private MNT namespace");
    throw new LighterError("not-supported", "a container without a mount namespace of its own is not supported", {
      hint: "its root and all it mounts would be mounts of the host, and stay when it has gone",
    });
  }
  if (config.linux?.timeOffsets && Object.keys(config.linux.timeOffsets).length > 0 && !created.has("time"))
    throw new LighterError("invalid", "linux.timeOffsets needs a time namespace");
  if (config.hostname && !created.has("uts") && !joined.has("uts"))
    throw new LighterError("invalid", "hostname needs a uts namespace");
  return { created, joined };
}

/** Host side, before the clone: opens the namespaces to join, and prepares the clocks of a new time namespace. */
export function openNamespaces(host: OpList, config: OciConfig, plan: NamespacePlan): void {
  for (const [type, path] of plan.joined) host.open(path, O.RDONLY, `ns.${type}`, `the ${type} namespace to join`);
  if (plan.joined.has("pid"))
    host.call("setns", [slot("ns.pid"), CLONE.pid], "the child is to be born in this pid namespace");
  const offsets = Object.entries(config.linux?.timeOffsets ?? {});
  if (offsets.length > 0) {
    host.call("unshare", [CLONE.time], "clocks can be set only before a process is in the namespace");
    const lines = offsets.map(([clock, { secs, nanosecs }]) => `${clock} ${secs} ${nanosecs}\n`);
    host.write(PRIVATE_PROC, "self/timens_offsets", lines.join(""), "linux.timeOffsets");
  }
}

/** Whether `openNamespaces` or `mapIds` writes to a procfs. */
export function writesProc(config: OciConfig, plan: NamespacePlan): boolean {
  return plan.created.has("user") || Object.keys(config.linux?.timeOffsets ?? {}).length > 0;
}

/** The CLONE_NEW… flags for clone3(2). The cgroup namespace comes later: its root is the cgroup in which its maker is. */
export function cloneFlags(config: OciConfig, plan: NamespacePlan): number {
  return plan.joined.has("user") ? 0 : newFlags(config, plan);
}

function newFlags(config: OciConfig, plan: NamespacePlan): number {
  let flags = 0;
  for (const type of plan.created) if (type !== "cgroup") flags += CLONE[type];
  if (Object.keys(config.linux?.timeOffsets ?? {}).length > 0) flags -= CLONE.time; // it has been unshared already
  return flags;
}

/** Host side, after the clone, while the child waits for its ids: writes the maps. */
export function mapIds(host: OpList, config: OciConfig, plan: NamespacePlan): void {
  if (!plan.created.has("user")) return;
  const pid = SLOT_INIT;
  const uids = config.linux?.uidMappings ?? [];
  const gids = config.linux?.gidMappings ?? [];
  if (uids.length === 0 || gids.length === 0)
    throw new LighterError("invalid", "a user namespace needs linux.uidMappings and linux.gidMappings");
  const maps = [
    ["uid_map", formatIdMap(uids), "linux.uidMappings"],
    ["gid_map", formatIdMap(gids), "linux.gidMappings"],
  ] as const;
  for (const [file, data, why] of maps)
    host.add({ kind: "writeByPid", dir: PRIVATE_PROC, prefix: "", pid, suffix: `/${file}`, data, why });
  if (config.process) writeOomScoreOf(host, config.process, pid);
  host.add({ kind: "send", why: "the ids are mapped" });
}

export function formatIdMap(mappings: readonly OciIdMapping[]): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");
}

/** The host's id of the process's user or group. */
export function hostUserId(config: OciConfig, process: OciProcess, kind: "uid" | "gid"): number {
  return hostIdOf(process.user?.[kind] ?? 0, config, kind);
}

/** The host's id for one of the container's: the same, or what the user namespace maps it to. @throws LighterError "invalid" */
export function hostIdOf(id: number, config: OciConfig, kind: "uid" | "gid"): number {
  const mapped = mappedId(id, config, kind);
  if (mapped === undefined)
    throw new LighterError("invalid", `process.user.${kind} ${id} is not in linux.${kind}Mappings`);
  return mapped;
}

/** As `hostIdOf`; undefined if the user namespace does not map it. */
export function mappedId(id: number, config: OciConfig, kind: "uid" | "gid"): number | undefined {
  const mappings = kind === "uid" ? config.linux?.uidMappings : config.linux?.gidMappings;
  if (!mappings?.length) return id;
  const range = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return range && range.hostID + (id - range.containerID);
}

/**
 * In the child: enters the other namespaces and sets what belongs to them. New ones belong to the user namespace in which they
 * are made, so a user namespace that is joined must come before them; namespaces that are joined come before it, while we may
 * join any.
 * @param reborn Adds what a process does that replaces another.
 */
export function enterNamespaces(init: OpList, config: OciConfig, plan: NamespacePlan, reborn: () => void): void {
  if (plan.created.has("user")) {
    init.add({ kind: "receive", why: "wait until the ids are mapped" });
    becomeRoot(init);
  }
  for (const type of plan.joined.keys())
    if (type !== "user" && type !== "pid")
      init.call("setns", [slot(`ns.${type}`), CLONE[type]], `join the ${type} namespace`);
  if (plan.joined.has("user")) {
    init.call("setns", [slot("ns.user"), CLONE.user], "join the user namespace");
    becomeRoot(init);
    init.call("unshare", [newFlags(config, plan)], "namespaces of its own, which belong to the one it has joined");
    init.add({ kind: "rebirth", why: "go on in them" });
    reborn();
  }
}

/** In the child, in all its namespaces and its cgroup: a cgroup namespace shows as its root the cgroup in which its maker is. */
export function finishNamespaces(init: OpList, config: OciConfig, plan: NamespacePlan): void {
  if (plan.created.has("cgroup"))
    init.call("unshare", [CLONE.cgroup], "this cgroup becomes the root that the container sees");
  if (plan.created.has("network")) loopbackUp(init);
  if (config.hostname) {
    const name = new TextEncoder().encode(config.hostname);
    init.call("sethostname", [{ data: name, show: JSON.stringify(config.hostname) }, name.length], "hostname");
  }
  if (config.domainname) {
    const name = new TextEncoder().encode(config.domainname);
    init.call("setdomainname", [{ data: name, show: JSON.stringify(config.domainname) }, name.length], "domainname");
  }
}

/** In the child, in a user namespace that it entered without an id of its own: becomes root there. */
export function becomeRoot(init: OpList): void {
  const why = "become root of the user namespace";
  init.call("setresgid", [0, 0, 0], why);
  init.call("setresuid", [0, 0, 0], why);
}

const IFF_UP_RUNNING = 0x41;

/** `struct ifreq`: char name[16], short flags. Source: netdevice(7). */
function loopbackUp(init: OpList): void {
  const request = new Uint8Array(40);
  request.set([0x6c, 0x6f]);
  new DataView(request.buffer).setUint16(16, IFF_UP_RUNNING, true);
  const why = "bring the loopback interface up";
  init.call("socket", [AF_INET, SOCK_DGRAM_CLOEXEC, 0], why, { out: "inet" });
  init.call("ioctl.SIOCSIFFLAGS", [slot("inet"), { data: request, show: "lo IFF_UP" }], why);
}
