import { mkdirSync, rmSync } from "node:fs";
import { run } from "./commands.ts";

/** A new ext4 at `path`, in a file beside it that has no more blocks than are written. */
export function mountNewFilesystem(path: string, sizeMb: number): void {
  const file = `${path}.ext4`;
  mkdirSync(path, { recursive: true });
  run(["truncate", "-s", `${sizeMb}M`, file]);
  // All of it now: the kernel would go on making it while others are measured.
  run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", file]);
  run(["mount", "-o", "loop", file, path]);
}

export function removeFilesystem(path: string): void {
  run(["umount", "-l", path]); // a worker of the daemon's may still be ending
  rmSync(`${path}.ext4`);
}
