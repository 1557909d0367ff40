/** Tells whether a file still has the bytes that it had when it was hashed, without reading it. */
import { fstatSync, statfsSync } from "node:fs";
import { NS_PER_SECOND } from "../../base/time.ts";

/**
 * For how long a file must have stayed as it is. Its ctime has a clock's granularity, and of what is written by way of mmap(2) it tells
 * only that it has begun, until the kernel has written the page to the disk: after 30 s (vm.dirty_expire_centisecs).
 */
const SETTLED_NS = 60n * NS_PER_SECOND;

/** File systems that change the ctime with each write, those by way of mmap(2) too. Source: linux/magic.h. */
const EXACT_FILESYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
]);

/** Stands for the bytes of a file of so many bytes; undefined if there is nothing that could. */
export function identityOfContent(fd: number, sizeBytes: number): string | undefined {
  if (!EXACT_FILESYSTEMS.has(statfsSync(`/proc/self/fd/${fd}`).type)) return undefined;
  const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
  if (size !== BigInt(sizeBytes)) return undefined;
  const ageNs = BigInt(Date.now()) * 1_000_000n - ctimeNs;
  return ageNs < SETTLED_NS ? undefined : [dev, ino, size, mtimeNs, ctimeNs].join(":");
}
