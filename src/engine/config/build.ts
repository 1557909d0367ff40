/** Builds the OCI config for one start of a container. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { expandSlice, parseScopePath, type ScopeName } from "../../linux/systemd/unit-name.ts";
import { MACHINE_PROPAGATION, machineEnvironment, machineMounts, parseNesting } from "../../machine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciConfig, OciLinux, OciMount, VolumeMount } from "../../spec/oci-runtime.ts";
import { filesystemOf } from "../../volume/mod.ts";
import type { ContainerRecord } from "../state/record.ts";
import type { IdMappings } from "../userns/id-mappings.ts";
import { planDevices } from "./devices.ts";
import { invalid, notSupported } from "./errors.ts";
import type { HostFacts, HostProbe } from "./host.ts";
import type { ImageOfMount, MountPoint } from "./mounts.ts";
import {
  type NamespaceMode,
  type Peers,
  parseIpcMode,
  parsePidMode,
  parseUtsMode,
  planNamespaces,
} from "./namespaces.ts";
import type { PreparedContainer } from "./prepare.ts";
import { CONTAINER_INIT_PATH, planProcess, type ResolvedUser } from "./process.ts";
import { planResources, planRlimits } from "./resources.ts";
import { isMachine } from "./runtimes.ts";
import { appArmorProfileOf, parseSecurityOptions, planCapabilities, planPaths, planSeccomp } from "./security.ts";
import { planSysctls } from "./sysctls.ts";
import { hasWritableCgroups } from "./writable-cgroups.ts";

const OCI_VERSION = "1.2.0";
/** The cgroup above all containers that name no parent. */
export const DEFAULT_CGROUP_PARENT = "/lighter";

/** Host paths of what the engine has made for one container. */
export interface ContainerFiles {
  hosts: string;
  hostname: string;
  resolvConf: string;
  /** The directory in which a machine reads facts about its host. */
  host: string;
  /** The id of a machine's run. */
  bootId: string;
  /** The path of the program for `--init`; must be there if `usesInit`. */
  init?: string;
}

export interface BuildInput {
  id: string;
  /** True if systemd makes its cgroup. */
  inScope?: boolean;
  container: Pick<PreparedContainer, "config" | "hostConfig" | "mountPoints">;
  user: ResolvedUser;
  files: ContainerFiles;
  peers: Peers;
  /** Environment variables for links to other containers; the container's own variables win. */
  linkVariables?: readonly string[];
  host: HostFacts;
  probe: HostProbe;
  /** The mappings of the container's user namespace, new or a peer's; null or undefined: it uses the host's. */
  idMappings?: IdMappings | null;
  /** The offsets of its clocks, in a time namespace. */
  timeOffsets?: OciLinux["timeOffsets"];
}

/** Tells whether the container starts with our init, which has something to do only as pid 1 of a PID namespace of its own. */
export function usesInit(hostConfig: DockerHostConfig): boolean {
  return (hostConfig.Init ?? false) && parsePidMode(hostConfig.PidMode).kind === "private";
}

/**
 * The OCI config of one start of a container, with an empty `root.path`: the rootfs is mounted in the container's own
 * mount namespace. Asks `probe` for devices and mount propagation, and for nothing else.
 *
 * Differences to what Docker 26 hands to runc, all on purpose, are listed in tests/golden/config/docker-26.test.ts.
 * @throws LighterError "invalid" for what has changed since `prepareContainer`: a device or a peer that is gone.
 */
export function buildOciConfig(input: BuildInput): OciConfig {
  const { container, host, probe } = input;
  const { config, hostConfig } = container;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const capabilities = planCapabilities(hostConfig, host.capabilities);
  const seccomp = planSeccomp(hostConfig, security, capabilities.bounding ?? [], host);
  const machine = isMachine(hostConfig);
  const appArmor = appArmorProfileOf(hostConfig, host);
  const hostname = config.Hostname || (input.peers.network?.hostname ?? "");
  const { devices, rules } = planDevices(hostConfig, probe, input.idMappings != null || !host.rights.deviceNodes);
  const rlimits = planRlimits(hostConfig);
  const sysctl = planSysctls(config, hostConfig, input.idMappings?.gids[0]?.size ?? host.rights.gids);
  const annotations = hostConfig.Annotations ?? {};
  const asMounted = planRootfsPropagation(container.mountPoints, probe);
  const propagation = machine ? MACHINE_PROPAGATION : asMounted;
  return {
    ociVersion: OCI_VERSION,
    process: {
      ...planProcess(config, hostConfig, {
        hostname,
        user: input.user,
        withInit: usesInit(hostConfig),
        oomScoreMin: host.rights.oomScoreMin,
        variables: [
          ...(input.linkVariables ?? []),
          ...(machine ? machineEnvironment(input.id, config.Labels ?? {}) : []),
        ],
      }),
      ...(machine ? { terminal: true } : {}),
      capabilities,
      ...(rlimits.length > 0 ? { rlimits } : {}),
      ...(security.noNewPrivileges ? { noNewPrivileges: true } : {}),
      ...(appArmor === undefined ? {} : { apparmorProfile: appArmor }),
    },
    root: { path: "", ...(hostConfig.ReadonlyRootfs ? { readonly: true } : {}) },
    ...(parseUtsMode(hostConfig.UTSMode) === "private" && input.peers.uts === undefined ? { hostname } : {}),
    mounts: planMounts(input),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    linux: {
      namespaces: [...planNamespaces(hostConfig, input.peers, host), ...planUserNamespace(input)],
      ...(input.idMappings ? { uidMappings: input.idMappings.uids, gidMappings: input.idMappings.gids } : {}),
      ...(input.timeOffsets === undefined ? {} : { timeOffsets: input.timeOffsets }),
      cgroupsPath: cgroupsPathOf({ id: input.id, hostConfig, inScope: input.inScope ?? false }),
      resources: planResources(hostConfig, rules, probe),
      ...(devices.length > 0 ? { devices } : {}),
      ...(Object.keys(sysctl).length > 0 ? { sysctl } : {}),
      ...(seccomp !== undefined ? { seccomp } : {}),
      ...(propagation !== undefined ? { rootfsPropagation: propagation } : {}),
      ...planPaths(hostConfig, security, host),
    },
  };
}

/**
 * Returns the path of the container's cgroup, cleaned: ".." cannot lead above the top, as with runc. A relative path stays
 * relative.
 */
export function cgroupsPathOf({ id, hostConfig, inScope }: PlacedContainer): string {
  if (inScope) return scopeOf({ id, hostConfig }).cgroupsPath;
  const parent = hostConfig.CgroupParent || DEFAULT_CGROUP_PARENT;
  const path = posix.join("/", parent, id);
  return parent.startsWith("/") ? path : path.slice(1);
}

/** What decides where a container's cgroup is. */
export type PlacedContainer = Pick<ContainerRecord, "id" | "hostConfig" | "inScope">;

/** The scope of a container for which systemd makes one. Kubernetes gives the whole path of a slice. */
export function scopeOf({ id, hostConfig }: Omit<PlacedContainer, "inScope">): ScopeName {
  return parseScopePath(`${posix.basename(hostConfig.CgroupParent ?? "")}:lighter:${id}`, id);
}

/** The path of the cgroup that was named for a container to be in; "" if none was. */
export function cgroupParentOf({ hostConfig, inScope }: Omit<PlacedContainer, "id">): string {
  const parent = hostConfig.CgroupParent ?? "";
  return inScope ? (expandSlice(posix.basename(parent)) ?? "") : parent;
}

/**
 * Plans the user namespace. A container that shares a namespace of another must be in that one's user namespace, which owns it.
 */
function planUserNamespace({ idMappings, peers }: BuildInput): NonNullable<OciLinux["namespaces"]> {
  if (!idMappings) return [];
  const peer = peers.network ?? peers.pid ?? peers.ipc;
  return [{ type: "user", ...(peer === undefined ? {} : { path: `/proc/${peer.pid}/ns/user` }) }];
}

/** Plans all mounts: kernel file systems first, then our init, then what was asked for, parents before children. */
function planMounts(input: BuildInput): OciMount[] {
  const { container, files } = input;
  const { hostConfig } = container;
  const isMapped = input.idMappings != null;
  const asked = planAskedMounts(container.mountPoints, input.probe, isMapped);
  const covered = new Set(asked.map((mount) => mount.destination));
  const readOnly = hostConfig.ReadonlyRootfs ? ["rro"] : [];
  const machine = isMachine(hostConfig);
  if (!machine) asked.push(...planEtcMounts(files, covered, [...readOnly, "rprivate"]));
  const ipcMode = parseIpcMode(hostConfig.IpcMode);
  const filesystems = asked.filter(({ filesystem }) => filesystem !== undefined).length;
  const shm = planSharedMemory(ipcMode, hostConfig, { filesystems, isHosts: input.peers.ipc?.isHost ?? false });
  const queuesOfHost = isMapped && ipcMode.kind === "host";
  const ofContainers = kernelMounts(hostConfig, queuesOfHost);
  const defaults: OciMount[] = machine
    ? machineMounts(ofContainers, files, {
        cgroups: input.host.cgroup.mode,
        nesting: parseNesting(container.config.Labels ?? {}),
      })
    : ofContainers;
  if (shm !== undefined) defaults.push(shm);
  const kept = defaults.filter(
    ({ destination, source = "" }) =>
      !covered.has(destination) &&
      !["/dev", "/proc"].some((above) => covered.has(above) && destination.startsWith(`${above}/`)) &&
      // The host may have no /dev/mqueue.
      !(source === "/dev/mqueue" && input.probe.fileType(source) === undefined),
  );
  const init = usesInit(hostConfig) ? [initMount(files)] : [];
  const depth = (mount: OciMount) => mount.destination.split("/").length;
  return [...kept, ...init, ...asked.sort((a, b) => depth(a) - depth(b))];
}

/** Mounts the files in /etc that the engine writes, unless the user mounts something else there. */
export function planEtcMounts(
  files: Pick<ContainerFiles, "resolvConf" | "hostname" | "hosts">,
  covered: ReadonlySet<string>,
  options: readonly string[],
): OciMount[] {
  const sources: readonly (readonly [string, string])[] = [
    ["/etc/resolv.conf", files.resolvConf],
    ["/etc/hostname", files.hostname],
    ["/etc/hosts", files.hosts],
  ];
  return sources
    .filter(([destination]) => !covered.has(destination))
    .map(([destination, source]) => ({ destination, type: "bind", source, options: ["rbind", ...options] }));
}

/**
 * Lists the mounts of kernel file systems. With `queuesOfHost` the message queues belong to the host's user namespace, and only
 * somebody with rights there could mount them anew.
 */
function kernelMounts(hostConfig: DockerHostConfig, queuesOfHost: boolean): OciMount[] {
  const readOnly = hostConfig.Privileged ? [] : ["ro"];
  const queues = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      // Group 5 is tty in nearly every distribution.
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", ...readOnly] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [...(hasWritableCgroups(hostConfig) ? [] : ["ro"]), "nosuid", "noexec", "nodev"],
    },
    queuesOfHost
      ? { destination: "/dev/mqueue", type: "bind", source: "/dev/mqueue", options: ["rbind", "rprivate", ...queues] }
      : { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: queues },
  ];
}

/**
 * Plans /dev/shm. `filesystems`: how many file systems the container's volumes have. `isHosts`: the other container uses the
 * host's.
 */
function planSharedMemory(
  mode: NamespaceMode,
  hostConfig: DockerHostConfig,
  { filesystems, isHosts }: { filesystems: number; isHosts: boolean },
): VolumeMount | undefined {
  const shm = (mount: Partial<VolumeMount>): VolumeMount => ({
    destination: "/dev/shm",
    type: "bind",
    source: "shm",
    options: ["rbind", "rprivate"],
    ...mount,
  });
  if (mode.kind === "none") return undefined;
  if (mode.kind === "host" || isHosts) return shm({ source: "/dev/shm" });
  if (mode.kind === "shareable" || mode.kind === "container") return shm({ filesystem: filesystems });
  return shm({ type: "tmpfs", options: ["nosuid", "noexec", "nodev", "mode=1777", `size=${hostConfig.ShmSize}`] });
}

function initMount(files: ContainerFiles): OciMount {
  if (files.init === undefined)
    throw notSupported("HostConfig.Init", "this installation has no init program for containers");
  return { destination: CONTAINER_INIT_PATH, type: "bind", source: files.init, options: ["bind", "ro"] };
}

/**
 * Turns what somebody asked for into mounts.
 * @param isMapped true for a container in a user namespace: owners in a volume are then ids of the container, so that containers
 * with different ids may share it. A directory of the host keeps the host's owners, as with Docker.
 * @throws LighterError "invalid" if a part of a volume is gone
 */
export function planAskedMounts(points: readonly MountPoint[], probe: HostProbe, isMapped: boolean): VolumeMount[] {
  let filesystems = 0;
  return points.map((point) => {
    if (point.type === "tmpfs")
      return {
        destination: point.destination,
        type: "tmpfs",
        source: "tmpfs",
        options: point.tmpfsOptions ?? [],
      };
    if (point.image !== undefined) return imageMount(point.destination, point.image, filesystems++, isMapped);
    const own = filesystemOf(point.volume?.options ?? {});
    const directory = own?.kind === "bind" ? own : undefined;
    const propagation = point.propagation || (point.type === "bind" ? "rprivate" : "");
    const source = directory?.source ?? point.source;
    const subpath = point.volume?.subpath;
    return {
      destination: point.destination,
      type: "bind",
      source,
      options: [
        ...(directory?.options ?? [point.nonRecursive ? "bind" : "rbind"]),
        ...(isMapped && (point.isMapped || (point.type === "volume" && directory === undefined)) ? ["idmap"] : []),
        ...(point.readOnly ? [point.shallowReadOnly ? "ro" : "rro"] : []),
        ...(propagation === "" ? [] : [propagation]),
      ],
      ...(subpath === undefined ? {} : { part: { path: subpath, type: typeOfPart(source, subpath, probe) } }),
      ...(own?.kind === "filesystem" ? { filesystem: filesystems++ } : {}),
    };
  });
}

/** Nobody writes into an image, or executes what is in it. */
function imageMount(destination: string, { part }: ImageOfMount, filesystem: number, isMapped: boolean): VolumeMount {
  const options = ["rbind", "ro", "nosuid", "nodev", "noexec", "rprivate", ...(isMapped ? ["idmap"] : [])];
  return { destination, type: "bind", source: "/", filesystem, options, ...(part === undefined ? {} : { part }) };
}

function typeOfPart(source: string, subpath: string, probe: HostProbe): "directory" | "file" {
  const type = probe.fileTypeBeneath(source, subpath);
  if (type !== undefined) return type;
  const path = posix.join(source, subpath);
  throw new LighterError("not-found", `cannot access path ${path}: lstat ${path}: no such file or directory`);
}

/**
 * Plans the propagation of the root: mount events travel between a bind's source and the container only if the root lets them
 * through.
 * @throws LighterError "invalid", with Docker's texts.
 */
function planRootfsPropagation(points: readonly MountPoint[], probe: HostProbe): OciLinux["rootfsPropagation"] {
  let propagation: "shared" | "rslave" | undefined;
  for (const point of points) {
    const kind = point.propagation.replace(/^r/, "");
    if (kind !== "shared" && kind !== "slave") continue;
    const { mountPoint, shared, slave } = probe.propagation(point.source);
    if (point.mayBePrivate && !shared && !slave) continue;
    if (kind === "shared") {
      if (!shared) throw invalid(`path ${point.source} is mounted on ${mountPoint} but it is not a shared mount`);
      propagation = "shared";
    } else {
      if (!shared && !slave)
        throw invalid(`path ${point.source} is mounted on ${mountPoint} but it is not a shared or slave mount`);
      propagation ??= "rslave";
    }
  }
  return propagation;
}
