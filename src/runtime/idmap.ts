import { LighterError } from "../base/errors.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import type { Slot } from "../linux/program/op.ts";
import type { OciConfig, OciMount } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { CLONE, formatIdMap, hostIdOf, SLOT_INIT } from "./namespaces.ts";
import { PRIVATE_PROC } from "./proc.ts";

/** Texts of uid_map and gid_map; `recursive`: also for the mounts below. */
export interface Owners {
  uidMap: string;
  gidMap: string;
  recursive: boolean;
}

/** A host directory whose owners' ids are to be seen through a mapping. */
export interface IdmappedSource {
  path: string;
  /** A path in it, which is what is wanted of it. Others may be changing what is in there. */
  part?: string | undefined;
  /** With the mounts below it. */
  recursive: boolean;
  owners: Owners;
  /** Gets the clone, mounted nowhere yet. */
  out: Slot;
  why: string;
}

/**
 * Host side, before the clone: the sources of idmapped mounts. Only the owner of a file system may have its ids
 * mapped, which a container in a user namespace is not. Source: mount_setattr(2).
 */
export function cloneIdmapped(host: OpList, sources: readonly IdmappedSource[]): void {
  const namespaces = new Map<string, Slot>();
  for (const { path, part, recursive, owners, out, why } of sources) {
    const key = `${owners.uidMap}/${owners.gidMap}`;
    let namespace = namespaces.get(key);
    if (!namespace) {
      namespace = host.fresh("owners");
      const { uidMap, gidMap } = owners;
      host.add({ kind: "userNamespace", uidMap, gidMap, proc: PRIVATE_PROC, out: namespace, why });
      namespaces.set(key, namespace);
    }
    cloneHostTree(host, path, part, recursive, out, why);
    host.mapOwners(out, namespace, owners.recursive, `${why}: idmap`);
  }
  for (const namespace of namespaces.values()) host.close(namespace, "the mounts hold it");
}

/** A clone of what is mounted at a host path. A part is resolved under the path's fd, then used by its own. */
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

/** Host side, after the clone: the child has them. */
export function closeIdmapped(host: OpList, sources: readonly IdmappedSource[]): void {
  for (const { out, why } of sources) host.close(out, why);
}

/** The directories of an idmapped root file system, for a start in the user namespace that `config` maps. */
export function planIdmappedRoot(config: OciConfig, directories: readonly string[] = []): IdmappedSource[] {
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

/**
 * Host side: whatever `act` adds happens in init's mount namespace, as the host's root. Mounts that are cloned there keep
 * what the kernel has locked for a less privileged namespace (mount_namespaces(7)).
 */
export function inMountsOfInit(host: OpList, act: () => void): void {
  const why = "mount for the container, as the host's root";
  host.call("openat", [slot(PRIVATE_PROC), text("self/ns/mnt"), O.RDONLY | O.CLOEXEC, 0], why, { out: "ns.host" });
  host.open("/", O.PATH | O.DIRECTORY, "root.host", why);
  host.call("pidfd_open", [slot(SLOT_INIT), 0], why, { out: "init.fd" });
  host.call("setns", [slot("init.fd"), CLONE.mount], why);
  act();
  host.call("setns", [slot("ns.host"), CLONE.mount], "back to the host's mounts");
  // The namespace's root need not have been ours.
  host.call("fchdir", [slot("root.host")], "back to the host's root");
  host.call("chroot", [text(".")], "back to the host's root");
  for (const fd of ["ns.host", "root.host", "init.fd"]) host.close(fd, "done in the container's mount namespace");
}

/** Changes of ids leave capabilities alone. Source: capabilities(7). */
const SECBIT_NO_SETUID_FIXUP = 4;

/**
 * In `inMountsOfInit`: the layers, then the overlay of them, in the place where init looks for it. What is mounted over
 * the directories goes with the old root, at pivot_root(2). An overlay belongs to whom mounts it: in the namespace its
 * attributes would be others (overlayfs.rst, "userxattr"), and its ids could not be mapped.
 */
export function mountIdmappedRoot(
  host: OpList,
  facts: HostFacts,
  config: OciConfig,
  sources: readonly IdmappedSource[],
  rootfs: readonly OciMount[],
): void {
  for (const { path, out } of sources) host.moveMountTo(out, path, `owners in ${path} are ids of the container`);
  // Overlayfs makes whiteouts and copies as who has mounted it, and the host's root has no id in these directories.
  const why = "mount the layers as the container's root, with the rights of the host's";
  const [uid, gid] = [hostIdOf(0, config, "uid"), hostIdOf(0, config, "gid")];
  host.call("prctl.PR_SET_SECUREBITS", [SECBIT_NO_SETUID_FIXUP], why);
  host.call("setresgid", [0, gid, 0], why);
  host.call("setresuid", [0, uid, 0], why);
  for (const mount of rootfs) mountLayers(host, facts, mount);
  host.call("setresuid", [0, 0, 0], "be the host's root again");
  host.call("setresgid", [0, 0, 0], "be the host's root again");
}

/** The old call: fsconfig(2) takes at most 256 bytes, too few for the layers of an image. */
export function mountLayers(
  list: OpList,
  facts: HostFacts,
  { options = [], type = "none", source = "none" }: OciMount,
): void {
  const args = [text(source), text(facts.rootMountpoint), text(type), 0, text(options.join(","))];
  list.call("mount", args, "the root, from the layers");
}
