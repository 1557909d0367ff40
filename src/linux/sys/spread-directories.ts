/** Tells ext4 that what is in a directory's subdirectories does not belong together. ioctl_iflags(2), chattr(1) "T". */
import { closeSync, openSync } from "node:fs";
import { tryCall } from "./door.ts";
import { O_DIRECTORY, O_RDONLY } from "./fs.ts";

const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const FS_TOPDIR_FL = 0x2_0000;

/**
 * Lets each subdirectory that is made from now on begin in a part of the disk where there is room, with all that is below it. ext4
 * puts it beside its siblings otherwise, and searches for an inode among those that were freed a short time ago, which it avoids:
 * where a large directory has just been removed, making 3,000 files takes two seconds in place of 0.07 (Linux 6.18). Does nothing on
 * file systems that know no such flag.
 * Source: Linux fs/ext4/ialloc.c, find_group_orlov and recently_deleted.
 */
export function spreadDirectories(path: string): void {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    const flags = new Uint32Array(2); // the kernel writes an int, whatever the request's number says
    if (tryCall("ioctl", fd, FS_IOC_GETFLAGS, flags) !== 0 || (flags[0]! & FS_TOPDIR_FL) !== 0) return;
    flags[0]! |= FS_TOPDIR_FL;
    tryCall("ioctl", fd, FS_IOC_SETFLAGS, flags);
  } finally {
    closeSync(fd);
  }
}
