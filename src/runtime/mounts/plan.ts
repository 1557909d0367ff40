/** Plans the mounts of a container's config. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { type MountOptions, parseMountOptions } from "../../linux/mount/options.ts";
import type { Slot } from "../../linux/program/op.ts";
import type { NamespaceType, OciConfig, OciMount, VolumeMount } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../host-facts.ts";
import type { Owners } from "../idmap.ts";
import { formatIdMap } from "../namespaces.ts";

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

export function kindOfSource({ mount }: PlannedMount, host: HostFacts): "directory" | "file" {
  const { part, filesystem, kind: known } = mount as VolumeMount;
  const kind = part?.type ?? (filesystem === undefined ? (known ?? host.kindOf(mount.source!)) : "directory");
  return kind === "directory" ? "directory" : "file";
}

export function hasNamespace(config: OciConfig, wanted: NamespaceType): boolean {
  return (config.linux?.namespaces ?? []).some(({ type }) => type === wanted);
}
