/** Ops for a bind mount whose source is cloned, or is in the root itself. */
import { ATTR, clearedByBind } from "../../linux/mount/options.ts";
import { O, type OpList } from "../../linux/program/builder.ts";
import type { OciConfig, VolumeMount } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../host-facts.ts";
import { ownersOf } from "../idmap.ts";
import { PROC_SUPER_MAGIC } from "../proc.ts";
import { applyOptions, attach, isKernelDirectory, ROOT } from "./place.ts";
import { hasNamespace, kindOfSource, type PlannedMount } from "./plan.ts";

export function mountBind(init: OpList, host: HostFacts, config: OciConfig, planned: PlannedMount): void {
  const { options, destination, why, clone, inside } = planned;
  if (inside !== undefined) cloneInside(init, config, planned, inside);
  if (destination === "/proc")
    init.add({ kind: "checkFilesystem", fd: clone, magic: PROC_SUPER_MAGIC, why: `${why}: only a procfs` });
  replaceAttributes(init, planned);
  if (isReadonlyBelow(planned, config))
    init.setAttributes(clone, { set: ATTR.RDONLY, recursive: true }, `${why}: read-only with all below it`);
  applyOptions(init, clone, options, why);
  if (inside !== undefined) {
    attachInside(init, planned, inside);
    return;
  }
  attach(init, clone, destination, kindOfSource(planned, host), why);
}

/**
 * Whether mounts below become read-only, too. "ro" is for the mount itself; but root in a user namespace may own cgroups of the
 * host's, which /sys/fs/cgroup below a bound /sys would let it change (CVE-2023-25809).
 */
function isReadonlyBelow({ destination, options }: PlannedMount, config: OciConfig): boolean {
  const readonly = options.recursive && (options.set & ATTR.RDONLY) !== 0;
  return readonly && destination === "/sys" && hasNamespace(config, "user");
}

function cloneInside(init: OpList, config: OciConfig, planned: PlannedMount, inside: string): void {
  const { options, owners, clone, why } = planned;
  init.openInRoot(ROOT, inside, O.PATH, "inside", why);
  if (owners && hasNamespace(config, "user")) {
    init.add({ kind: "send", fd: "inside", why: `${why}: for the host's side to map its owners` });
    init.add({ kind: "receive", out: clone, why });
    return;
  }
  init.cloneTreeOf("inside", options.recursive, clone, why);
  if (owners) init.mapOwners(clone, ownersOf(clone), owners.recursive, `${why}: idmap`);
}

/**
 * Replaces the source's attributes by the options'. A shared file system keeps those of its volume, and any source keeps what is
 * locked: see mount_namespaces(7).
 */
function replaceAttributes(init: OpList, { mount, options, why, clone }: PlannedMount): void {
  const { set, clear } = options;
  if (set === 0 && clear === 0) return;
  const isShared = (mount as VolumeMount).filesystem !== undefined;
  if (!isShared)
    init.setAttributes(clone, { set, clear: clearedByBind(options) }, why, { tolerate: ["EPERM"], out: "replaced" });
  init.setAttributes(clone, { set, clear }, why, isShared ? {} : { unless: "replaced" });
}

/** Attaches a bind whose source's type is seen only when earlier mounts are made. */
function attachInside(init: OpList, { destination, why, clone }: PlannedMount, inside: string): void {
  init.openInRoot(ROOT, inside, O.PATH | O.DIRECTORY, "directory", why, { tolerate: ["ENOTDIR"] });
  for (const [type, when] of [
    ["directory", { guard: "directory" }],
    ["file", { unless: "directory" }],
  ] as const) {
    const [path, noSymlinks] = [destination.slice(1), isKernelDirectory(destination)];
    init.add({ kind: "openTarget", root: ROOT, path, type, noSymlinks, out: `as ${type}`, why, ...when });
    init.moveMount(clone, `as ${type}`, why, { guard: `as ${type}` });
  }
}
