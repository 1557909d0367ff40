/** New file systems for measurements. */
import { mkdirSync, rmSync } from "node:fs";
import { run } from "./commands.ts";

/** Mounts a new ext4 at `path`, in a sparse file beside it. */
export function mountNewFilesystem(path: string, sizeMb: number): void {
  const file = `${path}.ext4`;
  mkdirSync(path, { recursive: true });
  run(["truncate", "-s", `${sizeMb}M`, file]);
  // Everything is initialized now: otherwise the kernel would do it while something is measured.
  run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", file]);
  run(["mount", "-o", "loop", file, path]);
}

export function removeFilesystem(path: string): void {
  run(["umount", "-l", path]); // a worker of the daemon may still be ending
  rmSync(`${path}.ext4`);
}
