/** Makes the directory that is below every container's image. */
import { chmodSync, closeSync, mkdirSync, openSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../../base/errors.ts";

const DIRECTORIES = ["dev", "etc", "proc", "sys"];
/** Files that are covered by mounts, apart from the first: programs take it for the sign of a Docker container. */
const FILES = [".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf"];
const MTAB = { path: "etc/mtab", target: "/proc/mounts" };

/**
 * Makes the lowest layer of every container: mount points, and what Docker adds to an image. An image with files of these names
 * covers it. It is made once, so that a start need not make a dozen files in each container's upper directory, where they would
 * also count as changes.
 */
export function makeBaseLayer(path: string): void {
  for (const name of ["", ...DIRECTORIES]) make(() => mkdirSync(join(path, name)), join(path, name), 0o755);
  for (const name of FILES) make(() => closeSync(openSync(join(path, name), "wx")), join(path, name), modeOf(name));
  make(() => symlinkSync(MTAB.target, join(path, MTAB.path)), undefined, 0);
}

/** Returns the mode that Docker gives. */
function modeOf(name: string): number {
  return dirname(name) === "." ? 0o755 : 0o644;
}

/**
 * Makes a file or directory. One that exists was made by an earlier daemon, which may have been killed before it set the mode.
 */
function make(create: () => void, path: string | undefined, mode: number): void {
  try {
    create();
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  if (path !== undefined) chmodSync(path, mode); // creation heeds the umask
}
