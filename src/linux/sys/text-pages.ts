/** Frees memory that the program's own code takes up in an idle daemon. */
import { readFileSync, readlinkSync } from "node:fs";
import { check, tryCall } from "./door.ts";

const MADV_DONTNEED = 4;

/**
 * Frees the memory of the program's own code and constants; pages that are used again come back from the page cache. Most of what
 * start-up touches never runs again, and it is more than half of an idle daemon's resident memory. Only mappings to which nothing
 * ever writes are freed, so nothing is lost. Source: madvise(2).
 */
export function releaseTextPages(): void {
  const program = readlinkSync("/proc/self/exe");
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const [, from, to, mode, offset, path] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) (\S+) \S+ \S+ +(.*)$/.exec(line) ?? [];
    // The read-only data after the first segment has been written to: the linker's relocations.
    if (path !== program || !(mode === "r-xp" || (mode === "r--p" && Number(offset) === 0))) continue;
    const start = BigInt(`0x${from}`);
    check(tryCall("madvise", start, BigInt(`0x${to}`) - start, MADV_DONTNEED), "madvise(2) of the program's code");
  }
}

/** Resident memory in bytes: of files, which is mostly the program's, and this process's own. Source: proc_pid_status(5). */
export function residentBytes(): { file: number; anonymous: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const bytesOf = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { file: bytesOf("RssFile"), anonymous: bytesOf("RssAnon") };
}
