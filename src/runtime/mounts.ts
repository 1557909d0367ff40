/** Ops for a container's mounts and its root. */
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { cgroupMounts } from "../linux/cgroup/mod.ts";
import { ATTR, clearedByBind, type MountOptions, parseMountOptions } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import type { Slot } from "../linux/program/op.ts";
import { MS_PRIVATE, MS_SLAVE } from "../linux/sys/abi.ts";
import type { NamespaceType, OciConfig, OciMount, VolumeMount } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import {
  cloneHostTree,
  type HostSource,
  lockReadonly,
  type MappedLate,
  mountLayers,
  type Owners,
  ownersOf,
} from "./idmap.ts";
import { formatIdMap } from "./namespaces.ts";
import { PROC_SUPER_MAGIC } from "./proc.ts";

export const ROOT: Slot = "root";
/** The /dev that this program made, unless something covers it. */
export const DEV: Slot = "dev";

/** Directories that the runtime itself sets up: a symlink there would redirect what it makes (CVE-2023-27561 and similar). */
const PLAIN_DIRECTORIES = ["dev", "etc", "proc", "sys"];

/**
 * Files below /proc over which a config may mount something: lxcfs and similar provide these, and runc allows all but the last,
 * by which machines on one host would look like one.
 */
const ALLOWED_BELOW_PROC = new Set(
  "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    .split(" ")
    .concat("sys/kernel/random/boot_id")
    .map((name) => `/proc/${name}`),
);

export interface PlannedMount {
  mount: OciMount;
  options: MountOptions;
  /** Absolute and normalized. */
  destination: string;
  /** The mount's place in the config: `mounts[3] on /data`. */
  why: string;
  /** For bind mounts, the slot with the source's clone. */
  clone: Slot;
  /** For bind mounts, the source's path below the container's root, where earlier mounts can be seen. */
  inside?: string;
  /** For idmapped mounts, the mapping. */
  owners?: Owners;
}

/** File systems whose files have labels of their own, or that take no `context=`. */
const WITHOUT_LABEL: ReadonlySet<string> = new Set(["proc", "sysfs", "mqueue", "cgroup", "cgroup2"]);

/**
 * Checks the config's mounts.
 * @param label SELinux's label, for every file system that is mounted here and takes one
 * @throws LighterError ("invalid"/"not-supported") naming the mount.
 */
export function planMounts(config: OciConfig, label: string | undefined): PlannedMount[] {
  return (config.mounts ?? []).map((mount, index) => {
    const where = `mounts[${index}]`;
    if (!mount.destination.startsWith("/"))
      throw new LighterError("invalid", `${where}.destination "${mount.destination}" is not absolute`);
    const destination = posix.normalize(mount.destination).replace(/(.)\/$/, "$1");
    const options = parseMountOptions(mount.options ?? [], where);
    if (destination === "/") throw new LighterError("invalid", `${where}.destination is the root itself`);
    const bind = options.bind || mount.type === "bind";
    if (options.copyUp && (bind || mount.type !== "tmpfs"))
      throw new LighterError("invalid", `${where}: option "tmpcopyup" is for a tmpfs`);
    if (label && !bind && !WITHOUT_LABEL.has(mount.type ?? ""))
      options.parameters.push({ key: "context", value: label });
    const owners = planOwners(config, mount, options, where);
    if (owners && (!bind || options.remount))
      throw new LighterError("not-supported", `${where}: only a bind mount can be idmapped`);
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
      ...(owners ? { owners } : {}),
      ...(bind ? insideRoot(config, mount) : {}),
    };
  });
}

function insideRoot({ root }: OciConfig, mount: OciMount): Pick<PlannedMount, "inside"> {
  const { source } = mount;
  if ((mount as VolumeMount).inside) return { inside: posix.normalize(source ?? "").slice(1) };
  const prefix = `${root?.path}/`;
  if (!root?.path.startsWith("/") || source === undefined) return {};
  const path = posix.normalize(source);
  return path.startsWith(prefix) ? { inside: path.slice(prefix.length) } : {};
}

/**
 * A mount's own mapping or, if only the option is set, that of the container's user namespace, even if it is another's.
 * Source: runtime-spec config.md#posix-platform-mounts.
 */
function planOwners(config: OciConfig, mount: OciMount, options: MountOptions, where: string): Owners | undefined {
  const { uidMappings = [], gidMappings = [] } = mount;
  const own = uidMappings.length > 0 || gidMappings.length > 0;
  if (!own && !options.idmap) return undefined;
  const recursive = options.idmap === "ridmap";
  const { uidMappings: uidsOfAll = [], gidMappings: gidsOfAll = [], namespaces = [] } = config.linux ?? {};
  const joined = namespaces.find(({ type }) => type === "user")?.path;
  if (!own && joined && uidsOfAll.length === 0 && gidsOfAll.length === 0) return { namespacePath: joined, recursive };
  const uids = own ? uidMappings : uidsOfAll;
  const gids = own ? gidMappings : gidsOfAll;
  if (uids.length === 0 || gids.length === 0)
    throw new LighterError("invalid", `${where}: an idmapped mount needs uidMappings and gidMappings`);
  return { uidMap: formatIdMap(uids), gidMap: formatIdMap(gids), recursive };
}

/**
 * The sources of mounts whose owners are mapped, or that are file systems shared with others. `namespaceFd` finds the namespace
 * of one.
 */
export function hostSources(
  plan: readonly PlannedMount[],
  bundlePath: string,
  namespaceFd: (filesystem: number) => number,
): HostSource[] {
  return plan.flatMap(({ mount, options, why, clone, owners, inside }) => {
    const { part, filesystem } = mount as VolumeMount;
    const source = { part: part?.path, recursive: options.recursive, owners, out: clone, why };
    if (filesystem !== undefined)
      return [{ ...source, path: "/", namespaceFd: namespaceFd(filesystem), mapIfPossible: true }];
    return owners === undefined || inside !== undefined
      ? []
      : [{ ...source, path: sourcePath(mount, bundlePath, why) }];
  });
}

/** Idmapped mounts whose source is in the root once earlier mounts are made. */
export function mappedLate(plan: readonly PlannedMount[]): MappedLate[] {
  return plan.flatMap(({ owners, inside, clone, why, options: { recursive } }) =>
    owners && inside !== undefined ? [{ owners, clone, recursive, why }] : [],
  );
}

function sourcePath(mount: OciMount, bundlePath: string, why: string): string {
  if (!mount.source) throw new LighterError("invalid", `${why}: a bind mount needs a source`);
  return posix.resolve(bundlePath, mount.source);
}

/**
 * In the child, before anything is mounted or made private: clones all bind sources. It is so early because a clone keeps its
 * source's propagation, and because nothing of the container exists yet that could redirect a path.
 */
export function cloneSources(list: OpList, plan: readonly PlannedMount[], bundlePath: string): void {
  for (const planned of plan) if (isCloned(planned)) cloneSource(list, planned, bundlePath);
}

/**
 * Returns the binds that are locked: those that are read-only, in a user namespace whose root may mount. It could otherwise make
 * them writable, and write into a volume that others share and whose owners are mapped.
 */
export function readonlyToLock({ process }: OciConfig, plan: readonly PlannedMount[]): ReadonlySet<PlannedMount> {
  if (!process?.capabilities?.bounding?.includes("CAP_SYS_ADMIN")) return new Set();
  const isReadonly = ({ options: { bind, remount, set, recursiveSet } }: PlannedMount) =>
    bind && !remount && ((set | recursiveSet) & ATTR.RDONLY) !== 0;
  return new Set(plan.filter((planned) => isReadonly(planned) && planned.inside === undefined));
}

/**
 * Host side, in init's mount namespace: does what `cloneSources` does, for an init that cannot reach every source, and locks those
 * that are `locked`.
 */
export function sendSources(
  host: OpList,
  facts: HostFacts,
  plan: readonly PlannedMount[],
  bundlePath: string,
  locked: ReadonlySet<PlannedMount>,
): void {
  for (const planned of plan) {
    const { clone, options, why } = planned;
    const isOwn = isCloned(planned);
    if (isOwn) cloneSource(host, planned, bundlePath);
    if (locked.has(planned)) {
      const place = kindOfSource(planned, facts) === "directory" ? facts.rootMountpoint : ANY_FILE;
      lockReadonly(host, clone, options, place, `${why}: locked read-only`);
    } else if (!isOwn) continue;
    host.add({ kind: "send", fd: clone, why });
    if (isOwn) host.close(clone, "init has it");
  }
}

/** A file of every host. Init's mounts are its own by then, and the container's root is not among them. */
const ANY_FILE = "/proc/version";

/** In the child: receives what `sendSources` sends, in place of what it was born with. */
export function receiveSources(init: OpList, plan: readonly PlannedMount[], locked: ReadonlySet<PlannedMount>): void {
  for (const planned of plan) {
    const isOwn = isCloned(planned);
    if (!isOwn && !locked.has(planned)) continue;
    if (!isOwn) init.close(planned.clone, "one that is locked comes in its place");
    init.add({ kind: "receive", out: planned.clone, why: planned.why });
  }
}

function isCloned({ mount, options, owners, inside }: PlannedMount): boolean {
  const ownWay = owners !== undefined || inside !== undefined || (mount as VolumeMount).filesystem !== undefined;
  return options.bind && !options.remount && !ownWay;
}

function cloneSource(list: OpList, { mount, options, why, clone }: PlannedMount, bundlePath: string): void {
  cloneHostTree(
    list,
    sourcePath(mount, bundlePath, why),
    (mount as VolumeMount).part?.path,
    options.recursive,
    clone,
    why,
  );
}

/** Slaves of the host's mounts hear of new ones there; whoever shares them with the host would tell it of ours. */

/**
 * In the child, as early as `cloneSources` and for the same reasons: clones the root directory, unless the root is made of
 * layers, and opens the place where it will be mounted.
 */
export function cloneRoot(init: OpList, config: OciConfig, rootfs: readonly OciMount[], bundlePath: string): void {
  if (rootfs.length > 0) return;
  const path = config.root?.path;
  if (!path) throw new LighterError("invalid", "root.path is missing");
  const why = `the root, ${path}`;
  const at = posix.resolve(bundlePath, path);
  openRootPlace(init, config, bundlePath);
  init.cloneTree(at, true, ROOT, why);
  const slave = /^r?slave$/.test(config.linux?.rootfsPropagation ?? "");
  init.setAttributes(ROOT, { propagation: slave ? MS_SLAVE : MS_PRIVATE, recursive: true }, `${why}: keep our mounts`);
}

/** Opens the place where the root will be mounted, in the current mount namespace. */
export function openRootPlace(init: OpList, config: OciConfig, bundlePath: string): void {
  const path = config.root?.path;
  if (path) init.open(posix.resolve(bundlePath, path), O.PATH | O.DIRECTORY, "root.at", `the root, ${path}`);
}

/**
 * In the child: mounts the root file system, in its own mount namespace only, and opens it as ROOT.
 * @param isMounted by the host's side, and opened
 */
export function mountRoot(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  rootfs: readonly OciMount[],
  isMounted: boolean,
): void {
  makePrivate(init);
  if (isMounted) {
    // The root's fd is there already.
  } else if (rootfs.length === 0) {
    init.moveMount(ROOT, "root.at", `the root, ${config.root?.path}`);
  } else {
    for (const mount of rootfs) mountLayers(init, host, mount);
    openRoot(init, host);
  }
}

/** In the child, before anything is mounted below the root: checks that these directories are no symlinks. */
export function checkPlainDirectories(init: OpList): void {
  for (const name of PLAIN_DIRECTORIES) {
    const why = `/${name} must be mounted on ordinary directory`;
    init.openInRoot(ROOT, name, O.PATH | O.DIRECTORY, "plain", why, { noSymlinks: true, tolerate: ["ENOENT"] });
  }
}

/**
 * Lets the launcher hold the root, and so the mount, until everybody has been told of the end. To unmount an overlay is to write
 * back all that its disk has not written yet, whoever wrote it, and init's end would wait for that. This is not done if somebody
 * else is to hold the process, or the launcher does not wait for it.
 */
export function holdRoot(host: OpList): void {
  host.add({ kind: "receive", out: ROOT, why: "hold the root: its file system outlives the process" });
}

/** In the child: gives the launcher what `holdRoot` waits for. */
export function giveRoot(init: OpList): void {
  init.add({ kind: "send", fd: ROOT, why: "the launcher holds the root" });
}

export function letGoOfRoot(cleanup: OpList): void {
  cleanup.close(ROOT, "unmount the root, which writes back what its disk has not written yet", { guard: ROOT });
}

function openRoot(list: OpList, host: HostFacts): void {
  const why = "the root, as an fd: all of its paths are resolved under it";
  list.open(host.rootMountpoint, O.PATH | O.DIRECTORY, ROOT, why);
}

/**
 * Host side, in init's mount namespace: opens and sends the root, for an init that may not be able to go there. `isHeld`: the
 * launcher also holds it, as with `holdRoot`.
 */
export function sendRoot(host: OpList, facts: HostFacts, isHeld: boolean): void {
  openRoot(host, facts);
  host.add({ kind: "send", fd: ROOT, why: "the root, to init" });
  if (!isHeld) host.close(ROOT, "init has it");
}

/** In the child: waits until the host's side has mounted the root. */
export function receiveRoot(init: OpList): void {
  init.add({ kind: "receive", out: ROOT, why: "the root, from the host's side" });
}

function makePrivate(init: OpList): void {
  init.setAttributesAt(
    "/",
    { propagation: MS_PRIVATE, recursive: true },
    "keep our mounts from the host, and the host's from us",
  );
}

export function mountAll(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  plan: readonly PlannedMount[],
  beforeCgroups: () => void,
): void {
  for (const planned of plan) {
    if (planned.mount.type === "cgroup") beforeCgroups();
    if (planned.options.remount) remount(init, planned);
    else if (planned.mount.type === "cgroup") mountCgroup(init, host, config, planned);
    else if (planned.options.bind) mountBind(init, host, config, planned);
    else mountFilesystem(init, planned);
  }
}

/** Whether a symbolic link at the destination is refused instead of being followed inside the root. */
export function isKernelDirectory(destination: string): boolean {
  return PLAIN_DIRECTORIES.includes(destination.slice(1).split("/")[0]!) && !destination.startsWith("/etc");
}

/** Moves the mount in slot `mount` to its destination, which is made if it is missing. */
function attach(init: OpList, mount: Slot, destination: string, type: "directory" | "file", why: string): void {
  const noSymlinks = isKernelDirectory(destination);
  init.add({ kind: "openTarget", root: ROOT, path: destination.slice(1), type, noSymlinks, out: "target", why });
  init.moveMount(mount, "target", why);
}

/** Applies the recursive options and the propagation; the plain attributes are set where the mount is made. */
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

/** Whether `ro` is set last: on /dev, when it has its devices. */
function isLate({ destination, mount, options }: PlannedMount): boolean {
  const isDev = destination === "/dev" && (mount.type === "tmpfs" || options.remount);
  return isDev && (options.set & ATTR.RDONLY) !== 0;
}

/** Changes the options of an existing mount. Source: mount(2), "Remounting an existing mount". */
function remount(init: OpList, planned: PlannedMount): void {
  const { options, destination, why } = planned;
  init.openInRoot(ROOT, destination.slice(1), O.PATH, "target", why, { noSymlinks: isKernelDirectory(destination) });
  if (options.parameters.length > 0) init.reconfigure("target", options.parameters, why);
  const set = options.set & ~(isLate(planned) ? ATTR.RDONLY : 0);
  if (set !== 0 || options.clear !== 0) init.setAttributes("target", { set, clear: options.clear }, why);
  applyOptions(init, "target", options, why);
}

/**
 * Whether mounts below become read-only, too. "ro" is for the mount itself; but root in a user namespace may own cgroups of the
 * host's, which /sys/fs/cgroup below a bound /sys would let it change (CVE-2023-25809).
 */
function isReadonlyBelow({ destination, options }: PlannedMount, config: OciConfig): boolean {
  const readonly = options.recursive && (options.set & ATTR.RDONLY) !== 0;
  return readonly && destination === "/sys" && hasNamespace(config, "user");
}

export function hasNamespace(config: OciConfig, wanted: NamespaceType): boolean {
  return (config.linux?.namespaces ?? []).some(({ type }) => type === wanted);
}

function mountBind(init: OpList, host: HostFacts, config: OciConfig, planned: PlannedMount): void {
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

export function kindOfSource({ mount }: PlannedMount, host: HostFacts): "directory" | "file" {
  const { part, filesystem, kind: known } = mount as VolumeMount;
  const kind = part?.type ?? (filesystem === undefined ? (known ?? host.kindOf(mount.source!)) : "directory");
  return kind === "directory" ? "directory" : "file";
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

/**
 * Mounts a file system. A tmpfs takes over from the directory that it covers, as with runc: its mode, unless an option sets one,
 * and with `tmpcopyup` all that is in it.
 */
function mountFilesystem(init: OpList, planned: PlannedMount): void {
  const { mount, options, destination, why } = planned;
  const type = mount.type;
  if (!type || type === "none") throw new LighterError("invalid", `${why}: a mount needs a type`);
  const made: Slot = destination === "/dev" && type === "tmpfs" ? DEV : "mount";
  const parameters = [{ key: "source", value: mount.source || type }, ...options.parameters];
  const says = (...keys: string[]) => options.parameters.some(({ key }) => keys.includes(key));
  const inheritsMode = type === "tmpfs" && !says("mode");
  // Read-only would stop the runtime, too.
  const later = options.copyUp || isLate(planned) ? ATTR.RDONLY : 0;
  if (inheritsMode || options.copyUp)
    init.openInRoot(ROOT, destination.slice(1), O.PATH | O.DIRECTORY, "covered", why, {
      noSymlinks: isKernelDirectory(destination),
      tolerate: ["ENOENT"],
    });
  const inherited = inheritsMode ? { modeOf: "covered" } : {};
  init.newFilesystem(type, parameters, options.set & ~later, made, why, inherited);
  if (options.copyUp) {
    init.add({ kind: "copyUp", from: "covered", to: made, owner: !says("uid", "gid"), guard: "covered", why });
    if (options.set & ATTR.RDONLY && !isLate(planned)) init.setAttributes(made, { set: ATTR.RDONLY }, why);
  }
  attach(init, made, destination, "directory", why);
  applyOptions(init, made, options, why);
}

/** Makes read-only what `mountFilesystem` and `remount` have put off. */
export function makeReadonly(init: OpList, plan: readonly PlannedMount[]): void {
  for (const planned of plan) if (isLate(planned)) init.setAttributes(DEV, { set: ATTR.RDONLY }, planned.why);
}

function mountCgroup(init: OpList, host: HostFacts, config: OciConfig, planned: PlannedMount): void {
  const { options, destination, why } = planned;
  const ownNamespace = hasNamespace(config, "cgroup");
  const path = config.linux?.cgroupsPath;
  if (!path) throw new LighterError("invalid", `${why}: a cgroup mount needs linux.cgroupsPath`);
  const [first, ...rest] = cgroupMounts(host.cgroups, path, ownNamespace, destination);
  if (first?.kind !== "tmpfs") {
    // These are all of the host's cgroups, some of which the namespace's root may own (CVE-2023-25809).
    const shared = !ownNamespace && hasNamespace(config, "user");
    const all = shared ? { ...options, set: options.set | ATTR.RDONLY } : options;
    for (const each of first ? [first, ...rest] : rest) mountOneCgroup(init, each, all, why);
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
