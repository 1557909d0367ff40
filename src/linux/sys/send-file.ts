/** Moves bytes from file to file inside the kernel. */
import { fstatSync, statfsSync } from "node:fs";
import { check, tryCall } from "./door.ts";

/**
 * Copies `length` bytes from one position to another. Returns how many there were: fewer if the file ends before. The position of
 * `toFd` moves, that of `fromFd` does not. @throws LighterError ("kernel")
 */
export function sendFile(
  { fd: fromFd, offset, length }: { fd: number; offset: number; length: number },
  toFd: number,
  toOffset: number,
): number {
  check(tryCall("lseek", toFd, toOffset, 0), "lseek(2)");
  const position = new BigInt64Array([BigInt(offset)]);
  let done = 0;
  while (done < length) {
    const count = check(tryCall("sendfile", toFd, fromFd, position, length - done), "sendfile(2)");
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** File systems of this machine's disks and memory: what is in a file does not depend on who reads it. Source: linux/magic.h. */
const PLAIN_FILESYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0xca451a4e, // bcachefs
  0x01021994, // tmpfs
  0x858458f6, // ramfs
  0x794c7630, // overlay
]);

/**
 * Whether an open file is one that may be read in another process's name. What the kernel shows in /proc may depend on the reader;
 * file systems of a network or a process may never answer.
 */
export function isPlainFile(fd: number): boolean {
  return fstatSync(fd).isFile() && PLAIN_FILESYSTEMS.has(statfsSync(`/proc/self/fd/${fd}`).type);
}
