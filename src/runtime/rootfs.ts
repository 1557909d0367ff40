/** Ops that complete a container's root: devices, masks, working directory, pivot_root. */
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { parseMountinfo } from "../linux/mount/mountinfo.ts";
import { ATTR, propagationOf } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import type { DeviceType } from "../linux/program/op.ts";
import { AT_SYMLINK_NOFOLLOW, MNT_DETACH, MS_SLAVE } from "../linux/sys/abi.ts";
import type { DeviceOfHost, OciConfig, OciDevice } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { DEV, isKernelDirectory, type PlannedMount, ROOT } from "./mounts.ts";

const S_IFREG = 0o100000;
const S_IFCHR = 0o20000;
const S_IFBLK = 0o60000;
const S_IFIFO = 0o10000;
const MS_MOVE = 0x2000;

/** The devices that every container has. Source: runtime-spec config-linux.md#default-devices. */
const DEFAULT_DEVICES: readonly OciDevice[] = [
  { path: "/dev/null", type: "c", major: 1, minor: 3 },
  { path: "/dev/zero", type: "c", major: 1, minor: 5 },
  { path: "/dev/full", type: "c", major: 1, minor: 7 },
  { path: "/dev/random", type: "c", major: 1, minor: 8 },
  { path: "/dev/urandom", type: "c", major: 1, minor: 9 },
  { path: "/dev/tty", type: "c", major: 5, minor: 0 },
];

/** The kernel's memory; a kernel may be built without it. */
const KCORE = "/proc/kcore";

/** The links that every container has. Source: runtime-spec runtime-linux.md#dev-symbolic-links; /dev/core as in runc. */
const DEV_SYMLINKS: readonly (readonly [name: string, text: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", KCORE],
  ["ptmx", "pts/ptmx"],
];

const DEVICE_TYPES: ReadonlyMap<string, number> = new Map([
  ["c", S_IFCHR],
  ["u", S_IFCHR],
  ["b", S_IFBLK],
  ["p", S_IFIFO],
]);

/** A device's number in the kernel's 32-bit encoding; makedev(3). */
export function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12);
}

/**
 * In the child, after the mounts: makes device nodes and links, in the fresh /dev or, without a mount there, in the image's. A
 * /dev that was bound has its own, and is not the container's to change; runc leaves it alone as well.
 * @param areBound true where mknod(2) is refused, in a user namespace: nodes are the host's
 */
export function populateDev(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  mounts: readonly PlannedMount[],
  areBound: boolean,
): void {
  const devMount = mounts.findLast(({ destination, options }) => destination === "/dev" && !options.remount);
  if (devMount?.options.bind) return;
  if (devMount?.mount.type !== "tmpfs") {
    const why = "the image's /dev";
    init.add({ kind: "openTarget", root: ROOT, path: "dev", type: "directory", noSymlinks: true, out: DEV, why });
  }
  // A bound /dev brings the host's /dev/ptmx along. The container's own is the link into its devpts.
  const asked = (config.linux?.devices ?? []).filter(({ path }) => posix.normalize(path) !== "/dev/ptmx");
  const listed = new Set(asked.map(({ path }) => posix.normalize(path)));
  const covered = new Set(mounts.map(({ destination }) => destination));
  const devices = [...DEFAULT_DEVICES.filter(({ path }) => !listed.has(path) && !covered.has(path)), ...asked];
  mountNodes(init, devices, areBound);
  for (const [name, target] of DEV_SYMLINKS)
    if (target !== KCORE || host.kindOf(KCORE) !== "missing")
      init.call("symlinkat", [text(target), slot(DEV), text(name)], `/dev/${name}`, { tolerate: ["EEXIST"] });
}

function mountNodes(init: OpList, devices: readonly (OciDevice | DeviceOfHost)[], areBound: boolean): void {
  for (const device of devices) {
    const path = posix.normalize(device.path);
    const why = `device ${path}`;
    if (!path.startsWith("/")) throw new LighterError("invalid", `${why} is not absolute`);
    const type = DEVICE_TYPES.get(device.type);
    if (type === undefined) throw new LighterError("invalid", `${why}: unknown type "${device.type}"`);
    const parent = posix.dirname(path).slice(1) || ".";
    const name = posix.basename(path);
    const inDev = path.startsWith("/dev/") && parent === "dev";
    const directory = inDev ? DEV : "devdir";
    if (!inDev)
      init.add({
        kind: "openTarget",
        root: ROOT,
        path: parent,
        type: "directory",
        noSymlinks: /^dev(\/|$)/.test(parent),
        out: "devdir",
        why,
      });
    if (areBound && device.type !== "p") {
      bindNode(init, "hostPath" in device ? device.hostPath : path, directory, name, why);
    } else {
      const mode = type | (device.fileMode === undefined ? 0o666 : device.fileMode & 0o7777);
      const { major, minor } = deviceNumber(device, why);
      const number = makeDevice(major, minor);
      init.call("mknodat", [slot(directory), text(name), mode, number], why, { tolerate: ["EEXIST"], out: "made" });
      // A root file system that is started again has the node from the last time. An image may have anything there.
      init.openInRoot(directory, name, O.PATH, "node", why, { noSymlinks: true, unless: "made" });
      init.add({ kind: "checkDevice", fd: "node", type: DEVICE_KINDS[device.type]!, major, minor, guard: "node", why });
      const { uid = 0, gid = 0 } = device;
      if (uid || gid) init.call("fchownat", [slot(directory), text(name), uid, gid, AT_SYMLINK_NOFOLLOW], why);
    }
  }
}

const DEVICE_KINDS: Readonly<Record<string, DeviceType>> = { c: "character", u: "character", b: "block", p: "fifo" };

/** A device's numbers. Source: runtime-spec config-linux.md#devices; bits of a device's number: linux/kdev_t.h. */
function deviceNumber({ type, major, minor }: OciDevice, why: string): { major: number; minor: number } {
  if (type === "p") return { major: 0, minor: 0 };
  const within = (number: number | undefined, end: number): number is number =>
    number !== undefined && Number.isInteger(number) && number >= 0 && number < end;
  if (within(major, 2 ** 12) && within(minor, 2 ** 20)) return { major, minor };
  throw new LighterError("invalid", `${why}: ${major}:${minor} is no device number`);
}

/** Binds the host's own node: mknod(2) is refused in a user namespace. */
function bindNode(init: OpList, hostPath: string, directory: string, name: string, why: string): void {
  init.call("mknodat", [slot(directory), text(name), S_IFREG | 0o666, 0], why, { tolerate: ["EEXIST"] });
  init.cloneTree(hostPath, false, "node", why);
  init.openInRoot(directory, name, O.PATH, "target", why, { noSymlinks: true });
  init.moveMount("node", "target", why);
}

/** In the child, with the terminal in slot "tty": makes /dev/console this terminal. */
export function bindConsole(init: OpList): void {
  const why = "/dev/console is the terminal";
  init.add({ kind: "openTarget", root: ROOT, path: "dev/console", type: "file", noSymlinks: true, out: "target", why });
  init.cloneTreeOf("tty", false, "console", why); // the fd, not the path: /dev/pts may be shared (CVE-2025-52565)
  init.moveMount("console", "target", why);
}

const EMPTY_TMPFS = [
  { key: "source", value: "tmpfs" },
  { key: "ro" },
  { key: "nr_blocks", value: "1" },
  { key: "nr_inodes", value: "1" },
];

/**
 * In the child: masks paths and makes them read-only. A missing path needs no hiding. Masked directories share one empty tmpfs.
 */
export function hidePaths(init: OpList, config: OciConfig, mounts: readonly PlannedMount[]): void {
  const readonlyPaths = config.linux?.readonlyPaths ?? [];
  const maskedPaths = config.linux?.maskedPaths ?? [];
  for (const path of [...readonlyPaths, ...maskedPaths])
    if (!path.startsWith("/"))
      throw new LighterError("invalid", `linux.maskedPaths, linux.readonlyPaths: "${path}" is not absolute`);
  for (const path of new Set(readonlyPaths)) {
    const why = `read-only: ${path}`;
    const noSymlinks = isKernelDirectory(path);
    init.openInRoot(ROOT, path.slice(1), O.PATH, "target", why, { noSymlinks, tolerate: ["ENOENT", "ENOTDIR"] });
    init.cloneTreeOf("target", true, "copy", why, { guard: "target" });
    init.setAttributes("copy", { set: ATTR.RDONLY, recursive: true }, why, { guard: "target" });
    init.moveMount("copy", "target", why, { guard: "target" });
  }
  if (maskedPaths.length === 0) return;
  // Otherwise the container could chmod(2) the host's node, by the path that it covers. A /dev that is bound need not have one.
  const ofHost = mounts.some(({ destination, options }) => destination === "/dev" && options.bind);
  if (ofHost) init.open("/dev/null", O.PATH, "null", "the host's /dev/null, to cover files with");
  else
    init.openInRoot(ROOT, "dev/null", O.PATH, "null", "the container's /dev/null, to cover files with", {
      noSymlinks: true,
    });
  init.add({
    kind: "checkDevice",
    fd: "null",
    type: "character",
    major: 1,
    minor: 3,
    why: "/dev/null is the null device",
  });
  const shared = "what directories are masked with";
  init.newFilesystem("tmpfs", EMPTY_TMPFS, ATTR.RDONLY, "empty", shared);
  init.moveMount("empty", ROOT, `${shared}: copies are made of what is mounted`);
  for (const path of new Set(maskedPaths)) {
    const why = `masked: ${path}`;
    const flags = { noSymlinks: isKernelDirectory(path) };
    init.openInRoot(ROOT, path.slice(1), O.PATH | O.DIRECTORY, "dir", why, {
      ...flags,
      tolerate: ["ENOENT", "ENOTDIR"],
    });
    init.cloneTreeOf("empty", false, "mask", why, { guard: "dir" });
    init.moveMount("mask", "dir", why, { guard: "dir" });
    init.openInRoot(ROOT, path.slice(1), O.PATH, "file", why, { ...flags, tolerate: ["ENOENT"], unless: "dir" });
    init.cloneTreeOf("null", false, "cover", why, { guard: "file" });
    if (ofHost) init.setAttributes("cover", { set: ATTR.RDONLY }, why, { guard: "file" });
    init.moveMount("cover", "file", why, { guard: "file" });
  }
  init.call("fchdir", [slot("empty")], `${shared}: the first goes`);
  init.call("umount2", [text("."), MNT_DETACH], `${shared}: the first goes`);
}

/** In the child: makes the container's root ours and removes the host's. `old` is used with `noPivot`: see `kernelMountsOf`. */
export function pivotRoot(init: OpList, config: OciConfig, noPivot = false, old: readonly string[] = []): void {
  init.call("fchdir", [slot(ROOT)], "pivot_root(2) puts the old root where we stand");
  if (noPivot) {
    for (const path of old) takeAway(init, path);
    init.call("mount", [text("."), text("/"), 0, MS_MOVE, 0], "the root, over all others");
    init.call("chroot", [text(".")], "enter the root");
  } else {
    init.call("pivot_root", [text("."), text(".")], "enter the root");
    init.call("umount2", [text("."), MNT_DETACH], "the host's mounts go");
  }
  init.call("chdir", [text("/")], "stand on the new root");
  const propagation = config.linux?.rootfsPropagation;
  if (propagation) {
    const parsed = propagationOf(propagation);
    if (!parsed) throw new LighterError("invalid", `linux.rootfsPropagation "${propagation}" is unknown`);
    const { flag, recursive } = parsed;
    init.setAttributesAt("/", { propagation: flag, recursive }, "linux.rootfsPropagation");
  }
  if (config.root?.readonly) init.setAttributesAt("/", { set: ATTR.RDONLY }, "root.readonly");
}

/**
 * The places outside the container's root where procfs and sysfs are mounted, innermost first. A root that was moved leaves them
 * in the namespace, out of sight; but the kernel lets anybody in a mount namespace with a whole procfs mount another one
 * (mount_too_revealing() in fs/namespace.c): a container's user would have one without masks. runc removes them, too.
 */
export function kernelMountsOf(mountinfo: string, rootPath: string): string[] {
  const outside = (path: string) => rootPath === "" || (path !== rootPath && !path.startsWith(`${rootPath}/`));
  return parseMountinfo(mountinfo)
    .filter(({ fsType, mountPoint }) => (fsType === "proc" || fsType === "sysfs") && outside(mountPoint))
    .map(({ mountPoint }) => mountPoint)
    .reverse();
}

/** Unmounts a path, or covers it: what a user namespace has inherited it may not unmount. */
function takeAway(init: OpList, path: string): void {
  const why = `${path} of the old root goes`;
  init.setAttributesAt(path, { propagation: MS_SLAVE, recursive: true }, why);
  init.call("umount2", [text(path), MNT_DETACH], why, { tolerate: ["EINVAL", "EPERM"], out: "gone" });
  init.call("mount", [text("tmpfs"), text(path), text("tmpfs"), 0, 0], why, { unless: "gone" });
}

/** In the child: makes process.cwd if the image lacks it, as runc does. */
export function makeWorkingDirectory(init: OpList, cwd: string): void {
  const path = posix.normalize(cwd).slice(1);
  if (path === "") return;
  const why = `make the working directory ${cwd}`;
  init.add({
    kind: "openTarget",
    root: ROOT,
    path,
    type: "directory",
    noSymlinks: false,
    out: "cwd",
    why,
    tolerate: ["EEXIST", "ENOTDIR", "EROFS"],
  });
}
