/** Ops that complete a container's root: console, masks, working directory, pivot_root. */
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { parseMountinfo } from "../linux/mount/mountinfo.ts";
import { ATTR, propagationOf } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import { MNT_DETACH, MS_SLAVE } from "../linux/sys/abi.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { isKernelDirectory, ROOT } from "./mounts/place.ts";
import type { PlannedMount } from "./mounts/plan.ts";

const MS_MOVE = 0x2000;

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
