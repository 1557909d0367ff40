/** Which paths lead over nothing but this machine's memory and disks: file systems of others may never answer. */
import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { parseMountinfo } from "./mountinfo.ts";

/** All others are taken for what may hang: those of a network, of a process (FUSE), and what is mounted when it is asked for. */
const LOCAL_TYPES: ReadonlySet<string> = new Set([
  ...["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs", "reiserfs", "nilfs2"],
  ...["vfat", "exfat", "msdos", "ntfs3", "hfsplus", "iso9660", "udf", "squashfs", "erofs", "cramfs", "romfs"],
  ...["tmpfs", "ramfs", "devtmpfs", "rootfs", "overlay", "hugetlbfs"],
  ...["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "bpf", "nsfs", "debugfs", "tracefs", "securityfs"],
  ...["configfs", "pstore", "efivarfs", "fusectl", "binfmt_misc", "selinuxfs", "resctrl", "rpc_pipefs", "nfsd"],
]);

/** As many as the kernel follows. */
const LINKS_MAX = 40;

/** What is mounted where; of two at one place the later covers the earlier. */
export type MountTypes = ReadonlyMap<string, string>;

export function readMountTypes(): MountTypes {
  const entries = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
  return new Map(entries.map(({ mountPoint, fsType }) => [mountPoint, fsType]));
}

/**
 * Whether the path, absolute and as far as there is something, can be looked up without asking anybody else. Nothing is touched on the way
 * that is not local itself. What a process sees through /proc (/proc/PID/root) may be anything.
 */
export function isLocalPath(path: string, mounts: MountTypes = readMountTypes()): boolean {
  const isLocal = (mountPoint: string) => LOCAL_TYPES.has(mounts.get(mountPoint) ?? "");
  if (mounts.has("/") && !isLocal("/")) return false;
  let at = "/";
  let rest = path.split("/");
  for (let links = 0; rest.length > 0; ) {
    const next = posix.join(at, rest.shift()!); // "." and ".." too
    if (mounts.has(next)) {
      if (!isLocal(next)) return false;
    } else {
      const isLink = isSymlink(next);
      if (isLink === undefined) return true; // it leads no further
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

/** Undefined: there is nothing. */
function isSymlink(path: string): boolean | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink();
  } catch {
    return undefined; // below a file, or of a name too long
  }
}

function mountPointOf(path: string, mounts: MountTypes): string {
  let at = path;
  while (at !== "/" && !mounts.has(at)) at = posix.dirname(at);
  return at;
}
