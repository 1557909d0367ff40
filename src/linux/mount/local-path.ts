/** Tells which paths can be looked up on this machine's memory and disks alone: other file systems may never answer. */
import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { parseMountinfo } from "./mountinfo.ts";

/** The types that cannot hang. All others may: file systems of a network or a process (FUSE), and those mounted on demand. */
const LOCAL_TYPES: ReadonlySet<string> = new Set([
  ...["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs", "reiserfs", "nilfs2"],
  ...["vfat", "exfat", "msdos", "ntfs3", "hfsplus", "iso9660", "udf", "squashfs", "erofs", "cramfs", "romfs"],
  ...["tmpfs", "ramfs", "devtmpfs", "rootfs", "overlay", "hugetlbfs"],
  ...["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "bpf", "nsfs", "debugfs", "tracefs", "securityfs"],
  ...["configfs", "pstore", "efivarfs", "fusectl", "binfmt_misc", "selinuxfs", "resctrl", "rpc_pipefs", "nfsd"],
]);

/** The number of links that the kernel follows. */
const LINKS_MAX = 40;

/** The types of mounts by path. Of two mounts on one path the later covers the earlier. */
export type MountTypes = ReadonlyMap<string, string>;

export function readMountTypes(): MountTypes {
  const entries = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
  return new Map(entries.map(({ mountPoint, fsType }) => [mountPoint, fsType]));
}

/**
 * Whether the existing part of an absolute path can be looked up without asking anybody else. Nothing on the way is touched
 * unless it is local itself. What a process sees through /proc (/proc/PID/root) may be anything.
 */
export function isLocalPath(path: string, mounts: MountTypes = readMountTypes()): boolean {
  const isLocal = (mountPoint: string) => LOCAL_TYPES.has(mounts.get(mountPoint) ?? "");
  if (mounts.has("/") && !isLocal("/")) return false;
  let at = "/";
  let rest = path.split("/");
  for (let links = 0; rest.length > 0; ) {
    const next = posix.join(at, rest.shift()!); // this may be "." or "..", too
    if (mounts.has(next)) {
      if (!isLocal(next)) return false;
    } else {
      const isLink = isSymlink(next);
      if (isLink === undefined) return true; // the path ends here
      if (isLink) {
        if (mounts.get(mountPointOf(next, mounts)) === "proc") return false;
        const target = readlinkSync(next);
        if (++links > LINKS_MAX) return true;
        rest = [...target.split("/"), ...rest];
        if (target.startsWith("/")) at = "/";
        continue;
      }
    }
    at = next;
  }
  return true;
}

/** Whether it is a symlink, or undefined if nothing has that path. */
function isSymlink(path: string): boolean | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink();
  } catch {
    return undefined; // the path goes through a file, or a name is too long
  }
}

function mountPointOf(path: string, mounts: MountTypes): string {
  let at = path;
  while (at !== "/" && !mounts.has(at)) at = posix.dirname(at);
  return at;
}
