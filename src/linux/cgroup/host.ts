/** Finds out which cgroup hierarchies a host has and where they are mounted. */
import { accessSync, constants, readFileSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { type MountinfoEntry, parseMountinfo } from "../mount/mountinfo.ts";
import { readRights } from "../rights.ts";
import { CGROUP_GONE } from "./gone.ts";

/** One mounted cgroup v1 hierarchy. */
export interface CgroupV1Hierarchy {
  mountPoint: string;
  /** Controllers of this hierarchy, in the order of its mount options; empty for a named hierarchy. */
  controllers: readonly string[];
  /** The name of a named hierarchy: "systemd". */
  name?: string;
  /** The directory of the hierarchy that the mount shows: "/" unless the mount was made in, or for, a container. */
  mountRoot: string;
  /** The cgroup of this process, as seen from its cgroup namespace. */
  ownPath: string;
}

export interface CgroupV2Hierarchy {
  mountPoint: string;
  /** The content of the mount point's cgroup.controllers: controllers that may be enabled below it. */
  controllers: readonly string[];
  mountRoot: string;
  ownPath: string;
  /**
   * Whether the mount point is the root of the whole hierarchy, which alone may hold processes *and* hand controllers down. False
   * in a container: there, processes in the mount point make enabling fail with EBUSY (see `setup.ts`).
   * Source: Linux Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint".
   */
  isHierarchyRoot: boolean;
}

/** The cgroups that this host offers: a plain value, detected once and passed to the planners. */
export interface CgroupHost {
  /** unified: v2 only; legacy: v1 only; hybrid: v1, and v2 for whatever v1 has not taken. */
  mode: "unified" | "legacy" | "hybrid";
  /** The v1 hierarchies in the order of /proc/self/mountinfo. */
  v1: readonly CgroupV1Hierarchy[];
  v2?: CgroupV2Hierarchy;
  /** The content of v1's cpuset files at the mount point. Children without values refuse processes (ENOSPC). */
  cpuset?: { cpus: string; mems: string };
  /** Set where we may not filter devices by programs on v2: see `Rights`. */
  withoutDeviceFilters?: true;
  /**
   * Names of the files that cgroups have here, if known (`readInterfaceFiles`): kernels differ in which files a
   * controller has (swap accounting, BFQ, huge page sizes). Unknown: every file is taken to exist.
   */
  interfaceFiles?: ReadonlySet<string>;
}

/** Reads a file's text; undefined if there is no such file. */
export type ReadText = (path: string) => string | undefined;

/** `ReadText` on the real files. A missing file or cgroup is undefined; other errors are thrown unchanged. */
export function readHostText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (CGROUP_GONE.includes(errnoOf(error))) return undefined;
    throw error;
  }
}

/** Whether root of a user namespace may make cgroups in a directory: whoever made the namespace gives them some hierarchies. */
function mayDivide(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds which cgroup hierarchies are mounted where, without those that are not ours to divide: in a user namespace most of v1's.
 * Reads /proc/self/mountinfo, /proc/self/cgroup and a few files at the mount points; pure apart from its functions.
 * Sources: proc_pid_mountinfo(5), cgroups(7).
 * @throws LighterError ("not-supported") if there is none.
 */
export function detectCgroupHost(read: ReadText = readHostText, isOurs: typeof mayDivide = mayDivide): CgroupHost {
  const { inUserNamespace, deviceFilters } = readRights(read);
  const memberships = parseProcCgroup(read("/proc/self/cgroup") ?? "");
  const visible = visibleMounts(parseMountinfo(read("/proc/self/mountinfo") ?? ""));
  const mounts = visible.filter(
    ({ fsType, mountPoint }) => fsType.startsWith("cgroup") && (!inUserNamespace || isOurs(mountPoint)),
  );

  const v1: CgroupV1Hierarchy[] = [];
  for (const mount of preferSysFs(mounts.filter((each) => each.fsType === "cgroup"))) {
    const options = [...new Set(mount.superOptions.split(","))];
    const membership = memberships.find(
      ({ controllers }) => controllers.length > 0 && controllers.every((controller) => options.includes(controller)),
    );
    if (membership === undefined) continue; // it is of another cgroup namespace, or was just unmounted
    if (v1.some((each) => sameHierarchy(each, membership))) continue; // it is mounted twice: the first one serves
    v1.push({
      mountPoint: mount.mountPoint,
      mountRoot: mount.root,
      ownPath: membership.path,
      controllers: options.filter(
        (option) => membership.controllers.includes(option) && !option.startsWith(NAME_PREFIX),
      ),
      ...nameOf(membership),
    });
  }

  const v2Mount = preferSysFs(mounts.filter((each) => each.fsType === "cgroup2"))[0];
  const cpusetMount = v1.find((each) => each.controllers.includes("cpuset"))?.mountPoint;
  if (v1.length === 0 && v2Mount === undefined) throw noCgroups(inUserNamespace);

  return {
    mode: v1.length === 0 ? "unified" : v2Mount === undefined ? "legacy" : "hybrid",
    v1,
    ...(deviceFilters ? {} : { withoutDeviceFilters: true }),
    ...(v2Mount === undefined
      ? {}
      : {
          v2: {
            mountPoint: v2Mount.mountPoint,
            mountRoot: v2Mount.root,
            ownPath: memberships.find((each) => each.hierarchyId === 0)?.path ?? "/",
            controllers: words(read(`${v2Mount.mountPoint}/cgroup.controllers`) ?? ""),
            // cgroup.type is there for every cgroup but the root of the hierarchy.
            isHierarchyRoot: read(`${v2Mount.mountPoint}/cgroup.type`) === undefined,
          },
        }),
    ...(cpusetMount === undefined
      ? {}
      : {
          cpuset: {
            cpus: (read(`${cpusetMount}/cpuset.cpus`) ?? "").trim(),
            mems: (read(`${cpusetMount}/cpuset.mems`) ?? "").trim(),
          },
        }),
  };
}

function noCgroups(inUserNamespace: boolean): LighterError {
  if (!inUserNamespace)
    return new LighterError("not-supported", "find cgroups: no cgroup file system is mounted", {
      hint: "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    });
  return new LighterError("not-supported", "find cgroups: there is none that this user namespace may divide", {
    hint: "let its host delegate one, as to a machine, or by Delegate=yes of a systemd unit",
  });
}

/** The version and mount point of a controller's hierarchy, or undefined if this host does not have the controller. */
export function locateController(
  host: CgroupHost,
  controller: string,
): { version: 1 | 2; mountPoint: string } | undefined {
  const hierarchy = host.v1.find((each) => each.controllers.includes(controller));
  if (hierarchy !== undefined) return { version: 1, mountPoint: hierarchy.mountPoint };
  if (host.v2 === undefined) return undefined;
  // blkio is called io on v2; devices is no controller there but an eBPF hook, which every v2 cgroup has.
  const name = controller === "blkio" ? "io" : controller;
  if (!host.v2.controllers.includes(name) && name !== "devices") return undefined;
  return { version: 2, mountPoint: host.v2.mountPoint };
}

interface CgroupMembership {
  /** The hierarchy's number; 0 is v2. */
  hierarchyId: number;
  /** The controllers of v1, "name=systemd" for a named hierarchy, or empty for v2. */
  controllers: string[];
  path: string;
}

/** Parses the lines of /proc/PID/cgroup ("4:memory:/a", "0::/b"); malformed lines are left out. Source: cgroups(7). */
export function parseProcCgroup(text: string): CgroupMembership[] {
  const memberships: CgroupMembership[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const controllers = match[2] === "" ? [] : match[2]!.split(",");
    memberships.push({ hierarchyId: Number(match[1]), controllers, path: match[3]! });
  }
  return memberships;
}

const NAME_PREFIX = "name=";

function nameOf(membership: CgroupMembership): { name?: string } {
  const option = membership.controllers.find((each) => each.startsWith(NAME_PREFIX));
  return option === undefined ? {} : { name: option.slice(NAME_PREFIX.length) };
}

function sameHierarchy(hierarchy: CgroupV1Hierarchy, membership: CgroupMembership): boolean {
  const { name } = nameOf(membership);
  if (name !== undefined) return hierarchy.name === name;
  return hierarchy.controllers.some((controller) => membership.controllers.includes(controller));
}

/** The mounts without those that a later mount on the same place hides. */
function visibleMounts(mounts: readonly MountinfoEntry[]): MountinfoEntry[] {
  const last = new Map(mounts.map((mount) => [mount.mountPoint, mount]));
  return mounts.filter((mount) => last.get(mount.mountPoint) === mount);
}

/** Puts mounts at the usual place first: others are copies for containers and chroots. */
function preferSysFs(mounts: readonly MountinfoEntry[]): MountinfoEntry[] {
  const usual = (mount: MountinfoEntry) =>
    mount.mountPoint === "/sys/fs/cgroup" || mount.mountPoint.startsWith("/sys/fs/cgroup/");
  return [...mounts.filter(usual), ...mounts.filter((mount) => !usual(mount))];
}

export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
