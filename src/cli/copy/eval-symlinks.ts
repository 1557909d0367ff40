/** Resolves the symlinks of a path on this machine, with the errors of Go's filepath.EvalSymlinks. */
import { lstatSync, readlinkSync } from "node:fs";
import { CliError } from "../exit.ts";
import { errnoText } from "../values/env-file.ts";
import { cleanPath } from "./container-path.ts";

/** Limit of Go's path/filepath. */
const LINKS_MAX = 255;

/**
 * Returns the absolute `path` without symlinks and without "/" at its end. An error names the part that is missing, as
 * Go's filepath.EvalSymlinks does; realpath(3) would name the whole path.
 * @throws CliError
 */
export function evalSymlinks(path: string): string {
  let rest = path.split("/");
  let done = "";
  for (let links = 0; rest.length > 0; ) {
    const [name = "", ...after] = rest;
    rest = after;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      done = done.slice(0, Math.max(done.lastIndexOf("/"), 0));
      continue;
    }
    const next = `${done}/${name}`;
    const status = lstat(next);
    if (status.isSymbolicLink()) {
      if (++links > LINKS_MAX) throw new CliError("EvalSymlinks: too many links");
      const target = readlinkSync(next);
      if (target.startsWith("/")) done = "";
      rest = [...target.split("/"), ...rest];
    } else {
      if (!status.isDirectory() && rest.length > 0) throw new CliError("not a directory");
      done = next;
    }
  }
  return cleanPath(done === "" ? "/" : done);
}

function lstat(path: string) {
  try {
    return lstatSync(path);
  } catch (error) {
    throw new CliError(`lstat ${path}: ${errnoText(error)}`);
  }
}
