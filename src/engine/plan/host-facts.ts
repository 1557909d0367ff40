/** Reads the facts about this machine that engine/config/ needs. */

import { closeSync, fstatSync, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { arch, hostname, release } from "node:os";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { capabilitiesOf } from "../../linux/capability/mod.ts";
import { detectCgroupHost } from "../../linux/cgroup/mod.ts";
import { parseMountinfo } from "../../linux/mount/mountinfo.ts";
import { ownRights } from "../../linux/rights.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  bytePath,
  ENOENT,
  ENOTDIR,
  EXDEV,
  kernelError,
  O_DIRECTORY,
  O_PATH,
  openat,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  tryOpenat2,
} from "../../linux/sys/fs.ts";
import { cgroupFeatures } from "../config/cgroup-features.ts";
import type { HostDevice, HostFacts, HostProbe } from "../config/host.ts";

/** Files of the first few cgroups tell what all have. */
const CGROUPS_SEEN = 4;

/** Reads the facts at daemon start. @throws LighterError "not-supported" for a machine that cannot have containers. */
export function readHostFacts(): Omit<HostFacts, "appArmor"> {
  const machine = arch();
  if (machine !== "x64" && machine !== "arm64")
    throw new LighterError("not-supported", `there are no system call tables for ${machine}`);
  const cgroups = detectCgroupHost();
  const mountPoints = [...cgroups.v1, ...(cgroups.v2 === undefined ? [] : [cgroups.v2])].map((each) => each.mountPoint);
  const files = new Set(mountPoints.flatMap(filesOfChildren));
  const cpuDirectory = "/sys/devices/system/cpu";
  const effective = (name: string) =>
    cgroups.v2 === undefined ? undefined : readText(`${cgroups.v2.mountPoint}/cpuset.${name}.effective`);
  return {
    hostname: hostname(),
    arch: machine === "x64" ? "amd64" : "arm64",
    kernelVersion: release(),
    cpus: cgroups.cpuset?.cpus || effective("cpus") || readText(`${cpuDirectory}/online`) || "0",
    memoryNodes: cgroups.cpuset?.mems || effective("mems") || readText("/sys/devices/system/node/online") || "0",
    cgroup: cgroupFeatures(cgroups, files),
    capabilities: capabilitiesOf(readBoundingSet()),
    rights: ownRights(),
    seLinux: readText("/sys/fs/selinux/enforce") !== undefined,
    timeNamespaces: exists("/proc/self/ns/time"),
    thermalThrottleCpus: list(cpuDirectory)
      .map((name) => /^cpu([0-9]+)$/.exec(name)?.[1])
      .filter((cpu) => cpu !== undefined && exists(`${cpuDirectory}/cpu${cpu}/thermal_throttle`))
      .map(Number)
      .sort((a, b) => a - b),
  };
}

/** Reads which capabilities we may hand on: a process that root executes in the container gets no more than this. */
function readBoundingSet(): bigint {
  const match = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return BigInt(`0x${match?.[1] ?? "0"}`);
}

function filesOfChildren(mountPoint: string): string[] {
  const children = readdirSync(mountPoint, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return children.slice(0, CGROUPS_SEEN).flatMap((child) => list(`${mountPoint}/${child.name}`));
}

/** Reads a file's text without the line end; undefined if it cannot be read, for instance if the kernel lacks a feature. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Lists the names in a directory; none if it is gone. */
function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (["ENOENT", "ENODEV", "ENOTDIR"].includes(errnoOf(error))) return [];
    throw error;
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The probe that asks this machine. */
export const hostProbe: HostProbe = {
  fileType(path) {
    const stat = statOrUndefined(path);
    if (stat === undefined) return undefined;
    if (stat.isDirectory()) return "directory";
    if (stat.isFile()) return "file";
    if (stat.isCharacterDevice()) return "character";
    return stat.isBlockDevice() ? "block" : "other";
  },
  fileTypeBeneath(directory, path) {
    const fd = openBeneath(directory, path);
    if (fd === undefined) return undefined;
    try {
      return fstatSync(fd).isDirectory() ? "directory" : "file";
    } finally {
      closeSync(fd);
    }
  },
  device(path) {
    const stat = statOrUndefined(path);
    return stat === undefined ? undefined : toDevice(realpathSync(path), stat);
  },
  devicesBelow: (directory) => devicesBelow(directory),
  propagation,
};

/**
 * Opens a path with O_PATH; undefined if there is nothing. @throws LighterError "invalid" if it leads out of the directory;
 * "kernel"
 */
export function openBeneath(directory: string, path: string): number | undefined {
  const root = openat(AT_FDCWD, bytePath(directory), O_PATH | O_DIRECTORY);
  try {
    const fd = tryOpenat2(root, bytePath(path), O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    if (fd === ENOENT || fd === ENOTDIR) return undefined;
    if (fd === EXDEV)
      throw new LighterError(
        "invalid",
        `path concatenation escapes the base directory, base: ${directory}, subpath: ${path}`,
      );
    if (fd < 0) throw kernelError(fd, `open "${path}" in "${directory}"`);
    return fd;
  } finally {
    closeSync(root);
  }
}

/** Returns the stat of a path. A path through a file, or in a loop, leads to nothing just as a missing one does. */
function statOrUndefined(path: string): Stat | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (["ENOTDIR", "ELOOP", "ENAMETOOLONG"].includes(errnoOf(error))) return undefined;
    throw error;
  }
}

type Stat = NonNullable<ReturnType<typeof lstatBig>>;

function lstatBig(path: string) {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

/** Looks on one file system: what is mounted below, for instance a procfs, is no place for devices. */
function devicesBelow(directory: string, fileSystem = statOrUndefined(directory)?.dev): HostDevice[] {
  const devices: HostDevice[] = [];
  for (const name of list(directory).sort()) {
    const path = directory.endsWith("/") ? `${directory}${name}` : `${directory}/${name}`;
    const stat = lstatBig(path);
    if (stat === undefined) continue; // unplugged meanwhile
    if (stat.isDirectory()) {
      if (stat.dev === fileSystem) devices.push(...devicesBelow(path, fileSystem));
    } else {
      const device = toDevice(path, stat);
      if (device !== undefined) devices.push(device);
    }
  }
  return devices;
}

function toDevice(path: string, stat: Stat): HostDevice | undefined {
  const type = stat.isCharacterDevice() ? "c" : stat.isBlockDevice() ? "b" : undefined;
  if (type === undefined) return undefined;
  return {
    path,
    type,
    ...decodeDeviceNumber(stat.rdev),
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
  };
}

/**
 * Decodes a device number:
 *   63         44         20      8       0
 *   | major high | minor high | major | minor |
 * Source: gnu_dev_makedev of glibc, makedev(3).
 */
function decodeDeviceNumber(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}

/** Finds the mount of a path: the longest mount point that is a parent; of two on one place, the later covers the earlier. */
function propagation(path: string): { mountPoint: string; shared: boolean; slave: boolean } {
  const real = statOrUndefined(path) === undefined ? path : realpathSync(path);
  let found = { mountPoint: "", shared: false, slave: false };
  for (const { mountPoint, tags } of parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"))) {
    const holds = mountPoint === "/" || real === mountPoint || real.startsWith(`${mountPoint}/`);
    if (!holds || mountPoint.length < found.mountPoint.length) continue;
    found = {
      mountPoint,
      shared: tags.some((tag) => tag.startsWith("shared:")),
      slave: tags.some((tag) => tag.startsWith("master:")),
    };
  }
  return found;
}
