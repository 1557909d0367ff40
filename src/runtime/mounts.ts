import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { cgroupMounts } from "../linux/cgroup/mod.ts";
import { ATTR, type MountOptions, parseMountOptions } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import type { Slot } from "../linux/program/op.ts";
import type { OciConfig, OciMount } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { PROC_SUPER_MAGIC } from "./proc.ts";

export const ROOT: Slot = "root";
/** The /dev this program made, as long as nothing covers it. */
export const DEV: Slot = "dev";

/** Directories that the runtime itself sets up: a symlink there would redirect what it makes (CVE-2023-27561 and kin). */
const PLAIN_DIRECTORIES = ["dev", "etc", "proc", "sys"];

/** What may be mounted over files below /proc: what lxcfs and the like provide, as runc allows. */
const ALLOWED_BELOW_PROC = new Set(
  "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    .split(" ")
    .map((name) => `/proc/${name}`),
);

export interface PlannedMount {
  mount: OciMount;
  options: MountOptions;
  /** Absolute, normalized. */
  destination: string;
  /** `mounts[3] on /data`. */
  why: string;
  /** Bind mounts: the slot with the source's clone. */
  clone: Slot;
}

/** Checks the config's mounts. @throws LighterError ("invalid"/"not-supported") naming the mount. */
export function planMounts(config: OciConfig): PlannedMount[] {
  return (config.mounts ?? []).map((mount, index) => {
    const where = `mounts[${index}]`;
    if (!mount.destination.startsWith("/"))
      throw new LighterError("invalid", `${where}.destination "${mount.destination}" is not absolute`);
    if (mount.uidMappings?.length || mount.gidMappings?.length)
      throw new LighterError("not-supported", `${where}: idmapped mounts are not supported`);
    const destination = posix.normalize(mount.destination).replace(/(.)\/$/, "$1");
    const options = parseMountOptions(mount.options ?? [], where);
    if (destination === "/") throw new LighterError("invalid", `${where}.destination is the root itself`);
    if (options.copyUp) throw new LighterError("not-supported", `${where}: option "tmpcopyup" is not supported`);
    const bind = options.bind || mount.type === "bind";
    if (destination.startsWith("/proc/") && !ALLOWED_BELOW_PROC.has(destination))
      throw new LighterError("invalid", `${where}: "${destination}" is inside /proc, where nothing may be mounted`);
    if (destination === "/proc" && mount.type !== "proc" && !bind)
      throw new LighterError("invalid", `${where}: only a procfs may be mounted on /proc, not "${mount.type}"`);
    return {
      mount,
      options: { ...options, bind },
      destination,
      why: `${where} on ${destination}`,
      clone: `source.${index}`,
    };
  });
}

/**
 * In the child, before anything is mounted or made private: clones of all bind sources. So early, because a clone
 * keeps its source's propagation, and because nothing of the container exists yet that could redirect a path.
 */
export function cloneSources(init: OpList, plan: readonly PlannedMount[], bundlePath: string): void {
  for (const { mount, options, why, clone } of plan) {
    if (!options.bind) continue;
    if (!mount.source) throw new LighterError("invalid", `${why}: a bind mount needs a source`);
    init.cloneTree(posix.resolve(bundlePath, mount.source), options.recursive, clone, `${why}: ${mount.source}`);
  }
}

/** In the child: the root file system, mounted in its own mount namespace only, opened as ROOT. */
export function mountRoot(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  rootfs: readonly OciMount[],
  bundlePath: string,
): void {
  const rootPath = config.root?.path;
  if (rootfs.length === 0) {
    if (!rootPath) throw new LighterError("invalid", "root.path is missing");
    const why = `the root, ${rootPath}`;
    const at = posix.resolve(bundlePath, rootPath);
    init.cloneTree(at, true, ROOT, why);
    makePrivate(init);
    init.moveMountTo(ROOT, at, why);
  } else {
    const at = host.rootMountpoint;
    makePrivate(init);
    for (const mount of rootfs) {
      const { options = [], type = "none", source = "none" } = mount;
      // The old call: fsconfig(2) takes at most 256 bytes, too few for the layers of an image.
      init.call("mount", [text(source), text(at), text(type), 0, text(options.join(","))], "the root, from the layers");
    }
    init.open(at, O.PATH | O.DIRECTORY, ROOT, "the root, as an fd: all of its paths are resolved under it");
  }
  for (const name of PLAIN_DIRECTORIES) {
    const why = `/${name} must not be a symbolic link`;
    init.openInRoot(ROOT, name, O.PATH | O.DIRECTORY, "plain", why, { noSymlinks: true, tolerate: ["ENOENT"] });
  }
}

const MS_PRIVATE = 1 << 18;

function makePrivate(init: OpList): void {
  init.setAttributesAt(
    "/",
    { propagation: MS_PRIVATE, recursive: true },
    "keep our mounts from the host, and the host's from us",
  );
}

export function mountAll(init: OpList, host: HostFacts, config: OciConfig, plan: readonly PlannedMount[]): void {
  for (const planned of plan) {
    if (planned.mount.type === "cgroup") mountCgroup(init, host, config, planned);
    else if (planned.options.bind) mountBind(init, host, planned);
    else mountFilesystem(init, planned);
  }
}

function isKernelDirectory(destination: string): boolean {
  return PLAIN_DIRECTORIES.includes(destination.slice(1).split("/")[0]!) && !destination.startsWith("/etc");
}

/** Moves the mount in slot `mount` to its destination, which is made if it is missing. */
function attach(init: OpList, mount: Slot, destination: string, type: "directory" | "file", why: string): void {
  const noSymlinks = isKernelDirectory(destination);
  init.add({ kind: "openTarget", root: ROOT, path: destination.slice(1), type, noSymlinks, out: "target", why });
  init.moveMount(mount, "target", why);
}

/** The recursive and the propagation half of the options; the plain attributes are set where the mount is made. */
function applyOptions(init: OpList, mount: Slot, options: MountOptions, why: string): void {
  if (options.recursiveSet !== 0 || options.recursiveClear !== 0)
    init.setAttributes(mount, { set: options.recursiveSet, clear: options.recursiveClear, recursive: true }, why);
  if (options.propagation)
    init.setAttributes(
      mount,
      { propagation: options.propagation.flag, recursive: options.propagation.recursive },
      `${why}: propagation`,
    );
}

function mountBind(init: OpList, host: HostFacts, planned: PlannedMount): void {
  const { mount, options, destination, why, clone } = planned;
  if (destination === "/proc")
    init.add({ kind: "checkFilesystem", fd: clone, magic: PROC_SUPER_MAGIC, why: `${why}: only a procfs` });
  if (options.set !== 0 || options.clear !== 0)
    init.setAttributes(clone, { set: options.set, clear: options.clear }, why);
  applyOptions(init, clone, options, why);
  const type = host.kindOf(mount.source!) === "directory" ? "directory" : "file";
  attach(init, clone, destination, type, why);
}

function mountFilesystem(init: OpList, planned: PlannedMount): void {
  const { mount, options, destination, why } = planned;
  const type = mount.type;
  if (!type || type === "none") throw new LighterError("invalid", `${why}: a mount needs a type`);
  const isDev = destination === "/dev" && type === "tmpfs";
  const made: Slot = isDev ? DEV : "mount";
  const parameters = [{ key: "source", value: mount.source || type }, ...options.parameters];
  // Read-only would stop the runtime too: set last, when /dev has its devices.
  const late = isDev && (options.set & ATTR.RDONLY) !== 0;
  init.newFilesystem(type, parameters, options.set & ~(late ? ATTR.RDONLY : 0), made, why);
  attach(init, made, destination, "directory", why);
  applyOptions(init, made, options, why);
}

/** What `mountFilesystem` put off. */
export function makeReadonly(init: OpList, plan: readonly PlannedMount[]): void {
  for (const { mount, options, destination, why } of plan)
    if ((options.set & ATTR.RDONLY) !== 0 && destination === "/dev" && mount.type === "tmpfs")
      init.setAttributes(DEV, { set: ATTR.RDONLY }, why);
}

function mountCgroup(init: OpList, host: HostFacts, config: OciConfig, planned: PlannedMount): void {
  const { options, destination, why } = planned;
  const ownNamespace = (config.linux?.namespaces ?? []).some(({ type }) => type === "cgroup");
  const path = config.linux?.cgroupsPath;
  if (!path) throw new LighterError("invalid", `${why}: a cgroup mount needs linux.cgroupsPath`);
  const [first, ...rest] = cgroupMounts(host.cgroups, path, ownNamespace, destination);
  if (first?.kind !== "tmpfs") {
    for (const each of first ? [first, ...rest] : rest) mountOneCgroup(init, each, options, why);
    return;
  }
  init.newFilesystem(
    "tmpfs",
    [{ key: "source", value: "tmpfs" }, ...first.parameters],
    options.set & ~ATTR.RDONLY,
    "cgroups",
    why,
  );
  attach(init, "cgroups", destination, "directory", why);
  for (const each of rest) {
    const name = each.target.slice(destination.length + 1);
    if (each.kind === "symlink") init.call("symlinkat", [text(each.text), slot("cgroups"), text(name)], why);
    else mountOneCgroup(init, each, options, why);
  }
  if (options.set & ATTR.RDONLY) init.setAttributes("cgroups", { set: ATTR.RDONLY }, `${why}: read-only`);
}

type OneCgroup = ReturnType<typeof cgroupMounts>[number];

function mountOneCgroup(init: OpList, mount: OneCgroup, options: MountOptions, why: string): void {
  if (mount.kind === "bind") {
    init.cloneTree(mount.source, false, "cgroup", why);
    init.setAttributes("cgroup", { set: options.set, clear: options.clear }, why);
  } else if (mount.kind !== "symlink") {
    init.newFilesystem(
      mount.kind,
      [{ key: "source", value: "cgroup" }, ...mount.parameters],
      options.set,
      "cgroup",
      why,
    );
  }
  attach(init, "cgroup", mount.target, "directory", why);
}
