/** Plans what is mounted into a container: binds, volumes, images and tmpfs, from all the options that ask for them. */
import { posix } from "node:path";
import type { DockerContainerConfig, DockerHostConfig, DockerMount } from "../../spec/docker-api.ts";
import { checkVolumeName, type VolumeOptions } from "../../volume/mod.ts";
import { invalid } from "./errors.ts";
import type { HostFacts, HostProbe } from "./host.ts";

/** Something mounted into a container because somebody asked for it. */
export interface MountPoint {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** The path in the container, absolute and clean. */
  destination: string;
  readOnly: boolean;
  /** The host path of a bind, the `_data` directory of a volume, the name of an image as somebody wrote it; "" for a tmpfs. */
  source: string;
  /** The mode of a `Binds` entry, for `inspect`. */
  mode: string;
  /** How mounts propagate; "" is Docker's default: rprivate for binds, nothing for volumes. */
  propagation: string;
  /** True if nobody asked for the propagation: the mount is private if the source's mount is. */
  mayBePrivate?: boolean;
  /** True if what is mounted below the source is left out. */
  nonRecursive: boolean;
  /** True if what is mounted below the source stays writable; otherwise all of it is read-only (rro, Linux 5.12). */
  shallowReadOnly: boolean;
  /** True if the engine makes a missing source, as a directory. */
  createSource: boolean;
  /** True for a bind whose files have the owners that a container with ids of its own sees. */
  isMapped?: boolean;
  volume?: VolumeOfMount;
  image?: ImageOfMount;
  /** The mount options of a tmpfs, which win over Docker's defaults. */
  tmpfsOptions?: string[];
}

/** An image whose files are mounted. */
export interface ImageOfMount {
  id: string;
  /** The part of the image that is mounted: a path in it, relative and without "..". */
  part?: { path: string; type: "directory" | "file" };
}

interface VolumeOfMount {
  name: string;
  /** True if nobody named the volume: it is removed with its last container. */
  anonymous: boolean;
  /** True if an empty volume gets the image's files at the destination. */
  copyUp: boolean;
  /** The part of the volume that is mounted: a path in it, relative and without "..". */
  subpath?: string;
  /** The driver, options and labels for a volume that is still to be made. Only in a plan. */
  created?: { driver?: string; options?: VolumeOptions; labels?: Record<string, string> };
  /** The options of a volume that exists: what is mounted in place of its directory. */
  options?: VolumeOptions;
}

/** The facts about the host and other containers that the plan needs. */
export interface MountContext {
  probe: HostProbe;
  host: HostFacts;
  /** Returns the host directory of a volume's contents. */
  volumePath(name: string): string;
  /** Makes a name for a volume that has none. */
  newVolumeName(): string;
  /** The directory where the daemon keeps its state. */
  dataRoot: string;
  /** True if read-only binds are shallow unless they say otherwise: what is mounted below their source stays writable. */
  shallowReadOnly: boolean;
  /** Finds an image, and what is at a path in it. @throws LighterError "not-found" */
  imageOf(name: string, part: string): ImageOfMount;
  /** Returns the mount points of another container. @throws LighterError "not-found" */
  mountPointsOf(containerRef: string): readonly MountPoint[];
}

const PROPAGATIONS: readonly string[] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/**
 * Plans the mount points of a create request: those of VolumesFrom, over them Binds, Mounts and Tmpfs, and a new volume for each
 * path in Volumes (the image's too) that nothing else covers. They are sorted: a parent comes before what is mounted in it.
 * @throws LighterError "invalid", with Docker's texts; "not-supported"
 */
export function planMountPoints(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  context: MountContext,
): { mountPoints: MountPoint[]; warnings: string[] } {
  const points = new Map<string, MountPoint>();
  const given = new Set<string>();
  const warnings: string[] = [];
  const add = (point: MountPoint, asGiven: string) => {
    if (given.has(point.destination)) throw invalid(`Duplicate mount point: ${asGiven}`);
    given.add(point.destination);
    points.set(point.destination, point);
  };
  for (const from of hostConfig.VolumesFrom ?? [])
    for (const point of parseVolumesFrom(from, context)) points.set(point.destination, point);
  for (const bind of hostConfig.Binds ?? []) {
    const point = withDriver(parseBind(bind, context), hostConfig.VolumeDriver);
    if (/:([^:]*,)?[zZ](,[^:]*)?$/.test(bind) && context.host.seLinux)
      warnings.push(`bind "${bind}": SELinux labels (z, Z) are not available yet: the files keep theirs`);
    add(point, point.destination);
  }
  for (const mount of hostConfig.Mounts ?? []) add(parseMount(mount, context), mount.Target ?? "");
  for (const [target, options] of Object.entries(hostConfig.Tmpfs ?? {})) {
    const destination = checkDestination(target);
    add({ ...emptyPoint("tmpfs", destination), tmpfsOptions: splitOptions(options) }, destination);
  }
  for (const target of Object.keys(config.Volumes ?? {})) {
    // An image may say anything: taken as a path from the container's root, it cannot name a host path.
    const destination = cleanPath(`/${target}`);
    if (destination === "/") throw invalid("invalid specification: destination can't be '/'");
    if (!points.has(destination))
      add(withDriver(anonymousVolume(destination, context), hostConfig.VolumeDriver), destination);
  }
  for (const point of points.values()) if (isAroundDataRoot(point, context)) keepFromHolding(point, context);
  for (const point of points.values())
    if (point.type === "tmpfs") point.tmpfsOptions = mergeTmpfsOptions(point.tmpfsOptions ?? []);
  return { mountPoints: [...points.values()].sort(byDepth), warnings };
}

function isAroundDataRoot({ type, source }: MountPoint, { dataRoot }: MountContext): boolean {
  const holds = (directory: string, path: string) => `${path}/`.startsWith(directory === "/" ? "/" : `${directory}/`);
  return type === "bind" && (holds(source, dataRoot) || holds(dataRoot, source));
}

/**
 * Keeps a bind around or below the data root from holding the daemon's mounts: a private copy would keep them mounted.
 * @throws LighterError "invalid", with Docker's text
 */
function keepFromHolding(point: MountPoint, { dataRoot }: MountContext): void {
  const { source, propagation } = point;
  if (propagation === "") {
    point.propagation = "rslave";
    point.mayBePrivate = true;
  } else if (propagation !== "rslave" && propagation !== "rshared")
    throw invalid(
      'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon ' +
        `root, daemon root: "${dataRoot}", bind mount source: "${source}", propagation: "${propagation}"`,
    );
}

/** Parses "container[:mode]". @throws LighterError "invalid", with Docker's texts. */
function parseVolumesFrom(from: string, context: MountContext): MountPoint[] {
  if (from === "") throw invalid("volumes-from specification cannot be an empty string");
  const [ref = "", ...rest] = from.split(":");
  const mode = rest.join(":");
  if (!isBindMode(mode) || mode.split(",").some((option) => PROPAGATIONS.includes(option) || option === "nocopy"))
    throw invalid(`invalid mode: ${mode}`);
  const readOnly = mode.split(",").includes("ro");
  let points: readonly MountPoint[];
  try {
    points = context.mountPointsOf(ref);
  } catch (error) {
    throw invalid((error as Error).message); // Docker answers 400 here, not 404.
  }
  return points.map((point) => ({
    ...point,
    mode: "",
    readOnly: point.readOnly || readOnly,
    ...(point.volume === undefined ? {} : { volume: { ...point.volume, copyUp: false } }),
  }));
}

/** Sets `VolumeDriver`, which applies to what the old options ask for, not to Mounts. */
function withDriver(point: MountPoint, driver: string | null | undefined): MountPoint {
  if (point.volume === undefined || !driver) return point;
  return { ...point, volume: { ...point.volume, created: { driver } } };
}

function byDepth(a: MountPoint, b: MountPoint): number {
  const depth = (path: string) => path.split("/").length;
  return (
    depth(a.destination) - depth(b.destination) ||
    (a.destination < b.destination ? -1 : a.destination > b.destination ? 1 : 0)
  );
}

function emptyPoint(type: MountPoint["type"], destination: string): MountPoint {
  return {
    type,
    destination,
    readOnly: false,
    source: "",
    mode: "",
    propagation: "",
    nonRecursive: false,
    shallowReadOnly: false,
    createSource: false,
  };
}

function anonymousVolume(destination: string, context: MountContext): MountPoint & { volume: VolumeOfMount } {
  const name = context.newVolumeName();
  return {
    ...emptyPoint("volume", destination),
    source: context.volumePath(name),
    volume: { name, anonymous: true, copyUp: true },
  };
}

function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** Checks and cleans a path in the container. @throws LighterError "invalid" */
function checkDestination(target: string): string {
  if (cleanPath(target) === "/") throw invalid("invalid specification: destination can't be '/'");
  if (!target.startsWith("/")) throw invalid(`invalid mount path: '${target}' mount path must be absolute`);
  return cleanPath(target);
}

/** The options of a `Binds` entry by subject: at most one of each group may be given. */
const BIND_OPTION_GROUPS: readonly (readonly string[])[] = [
  ["rw", "ro"],
  ["z", "Z"],
  PROPAGATIONS,
  ["nocopy"],
  ["consistent", "cached", "delegated"],
];

function isBindMode(mode: string): boolean {
  if (mode === "") return true;
  const options = mode.split(",");
  return (
    options.every((option) => BIND_OPTION_GROUPS.some((group) => group.includes(option))) &&
    BIND_OPTION_GROUPS.every((group) => options.filter((option) => group.includes(option)).length <= 1)
  );
}

/** Parses "source:destination[:mode]"; a relative source is a volume's name, no source is a new volume. */
function parseBind(bind: string, context: MountContext): MountPoint {
  const parts = bind.split(":");
  const malformed = `invalid volume specification: '${bind}'`;
  if (parts[0] === "" || parts.length > 3 || (parts.length === 2 && isBindMode(parts[1]!))) throw invalid(malformed);
  const [source, target, mode] = parts.length === 1 ? ["", parts[0]!, ""] : [parts[0]!, parts[1]!, parts[2] ?? ""];
  if (!isBindMode(mode)) throw invalid(`invalid mode: ${mode}`);
  const options = mode === "" ? [] : mode.split(",");
  const propagation = options.find((option) => PROPAGATIONS.includes(option)) ?? "";
  const type = source.startsWith("/") ? "bind" : "volume";
  const problem = (what: string) => invalid(`${malformed}: invalid mount config for type "${type}": ${what}`);
  let destination: string;
  try {
    destination = checkDestination(target);
  } catch (error) {
    throw problem((error as Error).message);
  }
  const point = { ...emptyPoint(type, destination), mode, readOnly: options.includes("ro") };
  if (type === "bind") {
    if (options.includes("nocopy")) throw problem("field VolumeOptions must not be specified");
    const shallowReadOnly = point.readOnly && context.shallowReadOnly;
    return { ...point, source: cleanPath(source), propagation, createSource: true, shallowReadOnly };
  }
  if (propagation !== "") throw problem("field BindOptions must not be specified");
  if (source === "") return { ...anonymousVolume(destination, context), mode: mode || DEFAULT_VOLUME_MODE };
  return { ...point, ...namedVolume(source, !options.includes("nocopy"), context), mode: mode || DEFAULT_VOLUME_MODE };
}

/** The mode that Docker shows for volumes that were asked for, with or without SELinux. */
const DEFAULT_VOLUME_MODE = "z";

/** Plans the mount of a volume with a name. @throws LighterError "invalid", with Docker's texts. */
function namedVolume(
  name: string,
  copyUp: boolean,
  context: MountContext,
): { source: string; mode: string; volume: VolumeOfMount } {
  checkVolumeName(name);
  return {
    source: context.volumePath(name),
    mode: DEFAULT_VOLUME_MODE,
    volume: { name, anonymous: false, copyUp },
  };
}

/** Plans a mount of type "volume". */
function parseVolumeMount(
  mount: DockerMount,
  point: MountPoint,
  problem: (what: string) => Error,
  context: MountContext,
): MountPoint {
  const { NoCopy, Subpath, DriverConfig, Labels } = mount.VolumeOptions ?? {};
  const source = mount.Source ?? "";
  const created = {
    ...(DriverConfig?.Name ? { driver: DriverConfig.Name } : {}),
    ...(DriverConfig?.Options ? { options: DriverConfig.Options } : {}),
    ...(Labels ? { labels: Labels } : {}),
  };
  const changes = { copyUp: !NoCopy, ...(Object.keys(created).length > 0 ? { created } : {}) };
  if (source === "") {
    if (Subpath) throw problem("must not set Subpath when using anonymous volumes");
    if (point.readOnly) throw problem("must not set ReadOnly mode when using anonymous volumes");
    const anonymous = anonymousVolume(point.destination, context);
    return { ...anonymous, mode: DEFAULT_VOLUME_MODE, volume: { ...anonymous.volume, ...changes } };
  }
  const part = parseSubpath(Subpath, "volume", problem);
  const named = namedVolume(source, !NoCopy, context);
  const partial = part === "" ? {} : { subpath: part };
  return { ...point, ...named, volume: { ...named.volume, ...changes, ...partial } };
}

/** Parses a path in what is mounted; "" is all of it. @throws LighterError "invalid" */
function parseSubpath(path: string | null | undefined, what: string, problem: (what: string) => Error): string {
  const part = path ? cleanPath(path) : "";
  if (part.startsWith("/") || part === ".." || part.startsWith("../"))
    throw problem(`subpath must be a relative path within the ${what}`);
  return part === "." ? "" : part;
}

/** The options that only one type of mount has. */
const OPTIONS_OF: readonly (readonly [keyof DockerMount, string])[] = [
  ["BindOptions", "bind"],
  ["VolumeOptions", "volume"],
  ["TmpfsOptions", "tmpfs"],
  ["ImageOptions", "image"],
];

function parseMount(mount: DockerMount, context: MountContext): MountPoint {
  const type = mount.Type ?? "";
  for (const [options, optionsType] of OPTIONS_OF)
    if (mount[options] != null && optionsType !== type && OPTIONS_OF.some(([, known]) => known === type))
      throw invalid(`${options} must not be specified on mount type ${JSON.stringify(type)}`);
  const problem = (what: string) => invalid(`invalid mount config for type ${JSON.stringify(type)}: ${what}`);
  if (!mount.Target) throw problem("field Target must not be empty");
  let destination: string;
  try {
    destination = checkDestination(mount.Target);
  } catch (error) {
    throw problem((error as Error).message);
  }
  const readOnly = mount.ReadOnly ?? false;
  const source = mount.Source ?? "";
  switch (type) {
    case "bind":
      return parseBindMount(mount, { ...emptyPoint("bind", destination), readOnly }, problem, context);
    case "volume":
      return parseVolumeMount(mount, { ...emptyPoint("volume", destination), readOnly }, problem, context);
    case "tmpfs": {
      if (source !== "") throw problem("field Source must not be specified");
      const { SizeBytes: sizeBytes = 0, Mode: mode = 0 } = mount.TmpfsOptions ?? {};
      if ((sizeBytes ?? 0) < 0) throw problem(`the size ${sizeBytes} is negative`);
      if ((mode ?? 0) < 0 || (mode ?? 0) > 0o7777) throw problem(`the mode ${mode} is not one of a directory`);
      const tmpfsOptions = [
        ...(readOnly ? ["ro"] : []),
        ...(mode ? [`mode=${mode.toString(8)}`] : []),
        ...(sizeBytes ? [`size=${formatSize(sizeBytes)}`] : []),
      ];
      return { ...emptyPoint("tmpfs", destination), readOnly, tmpfsOptions };
    }
    case "image": {
      if (source === "") throw problem("field Source must not be empty");
      const image = context.imageOf(source, parseSubpath(mount.ImageOptions?.Subpath, "image", problem));
      return { ...emptyPoint("image", destination), source, image, readOnly: true };
    }
    default:
      throw problem("mount type unknown");
  }
}

function parseBindMount(
  mount: DockerMount,
  point: MountPoint,
  problem: (what: string) => Error,
  { probe, shallowReadOnly }: MountContext,
): MountPoint {
  const source = mount.Source ?? "";
  const options = mount.BindOptions ?? {};
  const propagation = options.Propagation ?? "";
  if (source === "") throw problem("field Source must not be empty");
  if (propagation !== "" && !PROPAGATIONS.includes(propagation))
    throw problem(`invalid propagation mode: ${propagation}`);
  if (!source.startsWith("/")) throw problem(`invalid mount path: '${source}' mount path must be absolute`);
  const createSource = options.CreateMountpoint ?? false;
  if (!createSource && probe.fileType(source) === undefined)
    throw problem(`bind source path does not exist: ${source}`);
  if (options.ReadOnlyForceRecursive && options.ReadOnlyNonRecursive)
    throw invalid("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive");
  for (const field of ["ReadOnlyForceRecursive", "ReadOnlyNonRecursive"] as const)
    if (options[field] && !point.readOnly) throw invalid(`mount options conflict: !ReadOnly && BindOptions.${field}`);
  return {
    ...point,
    source: cleanPath(source),
    propagation,
    nonRecursive: options.NonRecursive ?? false,
    shallowReadOnly: options.ReadOnlyNonRecursive ?? (point.readOnly && shallowReadOnly),
    createSource,
  };
}

/** Writes a size such as "64k", in the largest unit that divides it. */
function formatSize(bytes: number): string {
  for (const [unit, size] of [
    ["g", 2 ** 30],
    ["m", 2 ** 20],
    ["k", 2 ** 10],
  ] as const)
    if (bytes % size === 0) return `${bytes / size}${unit}`;
  return `${bytes}`;
}

function splitOptions(options: string): string[] {
  return options === "" ? [] : options.split(",");
}

const TMPFS_DEFAULTS: readonly string[] = ["noexec", "nosuid", "nodev", "rprivate"];

/** Mount flags by subject; in each row the last one given counts. */
const TMPFS_FLAGS: readonly (readonly string[])[] = [
  ["ro", "rw"],
  ["suid", "nosuid"],
  ["dev", "nodev"],
  ["exec", "noexec"],
  ["sync", "async"],
  ["dirsync"],
  ["atime", "noatime"],
  ["diratime", "nodiratime"],
  ["relatime", "norelatime"],
  ["strictatime", "nostrictatime"],
  [...PROPAGATIONS, "unbindable", "runbindable"],
];

/** Options of a tmpfs that have a value. Source: tmpfs(5). */
const TMPFS_VALUES: readonly string[] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/**
 * Merges the given options into Docker's defaults, each kind once.
 * @throws LighterError "invalid", with Docker's text.
 */
export function mergeTmpfsOptions(given: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const option of [...TMPFS_DEFAULTS, ...given]) {
    if (option === "defaults") continue;
    const [name = "", ...value] = option.split("=");
    const flag = TMPFS_FLAGS.find((row) => row.includes(option));
    if (flag === undefined && !(TMPFS_VALUES.includes(name) && value.length === 1))
      throw invalid(`invalid tmpfs option ${JSON.stringify(name)}`);
    const key = flag?.[0] ?? name;
    merged.delete(key); // the last one also takes the last place
    merged.set(key, option);
  }
  return [...merged.values()];
}
