/** Ops for mounts whose files' owners are mapped, and for mounts that only the host's side can make. */
import { LighterError } from "../base/errors.ts";
import { parseMountFlags } from "../linux/mount/flags.ts";
import { ATTR, type MountOptions } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import type { Arg, Slot } from "../linux/program/op.ts";
import { SECBIT_NO_SETUID_FIXUP } from "../linux/sys/abi.ts";
import type { OciConfig, OciMount } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { CLONE, formatIdMap, hostIdOf, SLOT_INIT } from "./namespaces.ts";
import { PRIVATE_PROC } from "./proc.ts";

/** The texts of uid_map and gid_map, or the user namespace that has them. `recursive` includes the mounts below. */
export type Owners = ({ uidMap: string; gidMap: string } | { namespacePath: string }) & { recursive: boolean };

/** A directory that the host's side clones for init, which could not do it, or not in the right way. */
export interface HostSource {
  path: string;
  /** An fd's number: the mount namespace that `path` is in, if it is not the host's. */
  namespaceFd?: number | undefined;
  /** The path in it that is wanted. Others may be changing what is in there. */
  part?: string | undefined;
  /** True to include the mounts below it. */
  recursive: boolean;
  /** The mapping through which its owners are seen. */
  owners?: Owners | undefined;
  /** What cannot be mapped keeps its owners. */
  mapIfPossible?: boolean;
  /** The slot for the clone, which is not mounted anywhere yet. */
  out: Slot;
  why: string;
}

/**
 * Host side, before anything is made: clones the sources in other mount namespaces. If one of these ops fails, the launcher stays
 * in that namespace, and could clean up nothing.
 */
export function cloneElsewhere(host: OpList, sources: readonly HostSource[]): void {
  for (const { path, part, namespaceFd, recursive, out, why } of sources)
    if (namespaceFd !== undefined)
      inMountNamespace(host, namespaceFd, why, () => cloneHostTree(host, path, part, recursive, out, why));
}

/**
 * Host side, before the clone: clones the other sources, and maps the owners of all. Only the owner of a file system may have its
 * ids mapped, which a container in a user namespace is not. Source: mount_setattr(2).
 */
export function cloneOnHost(host: OpList, sources: readonly HostSource[]): void {
  const namespaces = new Map<string, Slot>();
  for (const source of sources) {
    const { path, part, namespaceFd, recursive, owners, out, why } = source;
    const owned = owners && ownersNamespace(host, namespaces, owners, why);
    if (namespaceFd === undefined) cloneHostTree(host, path, part, recursive, out, why);
    const tolerate = source.mapIfPossible ? { tolerate: ["EINVAL"] } : {};
    if (owned) host.mapOwners(out, owned, owners.recursive, `${why}: idmap`, tolerate);
  }
  for (const namespace of namespaces.values()) host.close(namespace, "the mounts hold it");
}

/** Finds a user namespace with the mapping in `namespaces`, or makes one and adds it there. */
function ownersNamespace(host: OpList, namespaces: Map<string, Slot>, owners: Owners, why: string): Slot {
  const key = "namespacePath" in owners ? owners.namespacePath : `${owners.uidMap}/${owners.gidMap}`;
  const known = namespaces.get(key);
  if (known !== undefined) return known;
  const out = host.fresh("owners");
  openOwners(host, owners, out, why);
  namespaces.set(key, out);
  return out;
}

/** Host side: opens a user namespace with the mapping. */
function openOwners(host: OpList, owners: Owners, out: Slot, why: string): void {
  if ("namespacePath" in owners) host.open(owners.namespacePath, O.RDONLY, out, why);
  else host.add({ kind: "userNamespace", uidMap: owners.uidMap, gidMap: owners.gidMap, proc: PRIVATE_PROC, out, why });
}

/** An idmapped mount whose source exists only when init has made others. */
export interface MappedLate {
  owners: Owners;
  /** The slot for the source's clone. */
  clone: Slot;
  recursive: boolean;
  why: string;
}

/** The user namespace that maps the owners of a late mount. */
export function ownersOf(clone: Slot): Slot {
  return `owners of ${clone}`;
}

/** Host side, before the clone: opens the user namespaces for late mounts. */
export function openOwnersOf(host: OpList, late: readonly MappedLate[]): void {
  for (const { owners, clone, why } of late) openOwners(host, owners, ownersOf(clone), why);
}

/** Host side: closes these, when init has them, or their mounts. */
export function closeOwnersOf(host: OpList, late: readonly MappedLate[]): void {
  for (const { clone, why } of late) host.close(ownersOf(clone), why);
}

/**
 * Host side, for an init in a user namespace, which may map nobody's owners: init sends each source that it has opened, and gets
 * the clone.
 */
export function mapForInit(host: OpList, late: readonly MappedLate[]): void {
  for (const { owners, clone, recursive, why } of late) {
    host.add({ kind: "receive", out: "inside", why });
    inMountsOfInit(host, () => host.cloneTreeOf("inside", recursive, clone, why));
    host.mapOwners(clone, ownersOf(clone), owners.recursive, `${why}: idmap`);
    host.add({ kind: "send", fd: clone, why });
    for (const fd of ["inside", clone]) host.close(fd, "init has it");
  }
}

/** Clones what is mounted at a host path. A part is resolved under the path's fd, then used by its own. */
export function cloneHostTree(
  list: OpList,
  path: string,
  part: string | undefined,
  recursive: boolean,
  out: Slot,
  why: string,
): void {
  if (part === undefined) {
    list.cloneTree(path, recursive, out, `${why}: ${path}`);
    return;
  }
  list.open(path, O.PATH | O.DIRECTORY, "whole", `${why}: ${path}`);
  list.openInRoot("whole", part, O.PATH, "part", `${why}: ${path}/${part}`);
  list.cloneTreeOf("part", recursive, out, `${why}: ${path}/${part}`);
}

/** Host side, after the clone: closes what the child has. */
export function closeOnHost(host: OpList, sources: readonly HostSource[]): void {
  for (const { out, why } of sources) host.close(out, why);
}

/** The directories of an idmapped root file system, for a start in the user namespace that `config` maps. */
export function planIdmappedRoot(config: OciConfig, directories: readonly string[] = []): HostSource[] {
  if (directories.length === 0) return [];
  const { uidMappings = [], gidMappings = [] } = config.linux ?? {};
  if (uidMappings.length === 0 || gidMappings.length === 0)
    throw new LighterError("invalid", "an idmapped root needs linux.uidMappings and linux.gidMappings");
  const owners = { uidMap: formatIdMap(uidMappings), gidMap: formatIdMap(gidMappings), recursive: true };
  return directories.map((path, index) => ({
    path,
    recursive: true,
    owners,
    out: `idmapped.${index}`,
    why: "the root",
  }));
}

/** In `inMountsOfInit`, the slot that leads to init's mount namespace. */
const INIT_FD: Slot = "init.fd";

/**
 * Host side: what `act` adds happens in init's mount namespace, with the rights of the host's root. Mounts that are cloned there
 * keep what the kernel has locked for a less privileged namespace (mount_namespaces(7)).
 */
export function inMountsOfInit(host: OpList, act: () => void): void {
  const why = "mount for the container, as the host's root";
  host.call("pidfd_open", [slot(SLOT_INIT), 0], why, { out: INIT_FD });
  inMountNamespace(host, slot(INIT_FD), why, act);
  host.close(INIT_FD, "done in the container's mount namespace");
}

/** Host side: what `act` adds happens in another mount namespace. `namespace` is an fd of it, or of a process in it. */
function inMountNamespace(host: OpList, namespace: Arg, why: string, act: () => void): void {
  host.open("/proc/self/ns/mnt", O.RDONLY, "ns.host", why);
  host.open("/", O.PATH | O.DIRECTORY, "root.host", why);
  host.call("setns", [namespace, CLONE.mount], why);
  act();
  host.call("setns", [slot("ns.host"), CLONE.mount], "back to the host's mounts");
  // The other namespace's root need not be the one we had.
  host.call("fchdir", [slot("root.host")], "back to the host's root");
  host.call("chroot", [text(".")], "back to the host's root");
  for (const fd of ["ns.host", "root.host"]) host.close(fd, "back in the host's mount namespace");
}

/**
 * In `inMountsOfInit`: makes a clone read-only for good. The kernel locks what comes into a mount namespace of another user
 * namespace, and so are clones of it. So it is mounted at `place`, seen from a namespace of the host's, and cloned there.
 * Source: mount_namespaces(7), "Restrictions on mount namespaces".
 */
export function lockReadonly(host: OpList, clone: Slot, options: MountOptions, place: string, why: string): void {
  if (options.set !== 0) host.setAttributes(clone, { set: options.set & LOCKED }, why);
  if (options.recursiveSet !== 0) host.setAttributes(clone, { set: options.recursiveSet, recursive: true }, why);
  host.moveMountTo(clone, place, why);
  host.close(clone, why);
  host.call("unshare", [CLONE.mount], why);
  host.cloneTree(place, true, clone, why);
  host.call("setns", [slot(INIT_FD), CLONE.mount], "back to init's mounts");
}

const LOCKED = ATTR.RDONLY | ATTR.NOSUID | ATTR.NODEV | ATTR.NOEXEC;

/**
 * In `inMountsOfInit`: mounts the layers, then the overlay of them, where init looks for it. What is mounted over the directories
 * goes with the old root, at pivot_root(2). An overlay belongs to the user who mounts it: mounted inside the namespace, its
 * attributes would be others (overlayfs.rst, "userxattr"), and its ids could not be mapped.
 */
export function mountIdmappedRoot(
  host: OpList,
  facts: HostFacts,
  config: OciConfig,
  sources: readonly HostSource[],
  rootfs: readonly OciMount[],
): void {
  for (const { path, out } of sources) host.moveMountTo(out, path, `owners in ${path} are ids of the container`);
  // Overlayfs makes whiteouts and copies with the rights of its mounter, and the host's root has no id in these directories.
  const why = "mount the layers as the container's root, with the rights of the host's";
  const [uid, gid] = [hostIdOf(0, config, "uid"), hostIdOf(0, config, "gid")];
  host.call("prctl.PR_SET_SECUREBITS", [SECBIT_NO_SETUID_FIXUP], why);
  host.call("setresgid", [0, gid, 0], why);
  host.call("setresuid", [0, uid, 0], why);
  for (const mount of rootfs) mountLayers(host, facts, mount);
  host.call("setresuid", [0, 0, 0], "be the host's root again");
  host.call("setresgid", [0, 0, 0], "be the host's root again");
}

/**
 * Uses the old call, mount(2): fsconfig(2) takes at most 256 bytes, too few for an image's layers. Volumes use it too, as with
 * Docker.
 */
export function mountLayers(
  list: OpList,
  facts: HostFacts,
  { options = [], type = "none", source = "none" }: OciMount,
): void {
  const { flags, data } = parseMountFlags(options);
  list.call("mount", [text(source), text(facts.rootMountpoint), text(type), flags, text(data)], `the root, ${type}`);
}
