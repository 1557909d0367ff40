/**
 * Paths of `cp`, by the rules of the stock client: the name of a copy depends on how both paths end and on what exists
 * at the destination.
 */
import { posix } from "node:path";

/** Splits "web:/etc/hosts" into the container and the path in it; a path of this machine has no container. */
export function splitContainerPath(argument: string): { container: string; path: string } {
  const colon = argument.indexOf(":");
  // "./a:b" and "../a:b" are files whose names contain a colon.
  if (argument.startsWith("/") || colon === -1 || argument.startsWith(".")) return { container: "", path: argument };
  return { container: argument.slice(0, colon), path: argument.slice(colon + 1) };
}

/** Cleans a path as Go's path/filepath.Clean does. */
export function cleanPath(path: string): string {
  if (path === "") return ".";
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** Returns the last name of a path as Go's path/filepath.Base does. */
export function baseName(path: string): string {
  if (path === "") return ".";
  const bare = path.replace(/\/+$/, "");
  return bare === "" ? "/" : bare.slice(bare.lastIndexOf("/") + 1);
}

function endsInSlash(path: string): boolean {
  return path.endsWith("/");
}

/** Whether a path means the content of a directory, as "a/." does. */
function meansContent(path: string): boolean {
  return baseName(path) === ".";
}

/** Splits a path into its directory and last name; "/." at the end counts as a last name. */
export function splitPath(path: string): { directory: string; base: string } {
  const clean = cleanPath(path) + (meansContent(path) ? "/." : "");
  const slash = clean.lastIndexOf("/");
  return { directory: cleanPath(slash === -1 ? "" : clean.slice(0, slash + 1)), base: baseName(clean) };
}

/** Returns `clean`, the cleaned form of `original`, with the "/." or "/" that cleaning removed. */
export function keepEnding(clean: string, original: string): string {
  let path = clean;
  if (!meansContent(path) && meansContent(original)) path += endsInSlash(path) ? "." : "/.";
  return !endsInSlash(path) && endsInSlash(original) ? `${path}/` : path;
}

/** Returns the path of a link's target and the name that the copy has to take: the link's, as the user typed it. */
export function rebase(path: string, resolved: string): { path: string; rebaseName: string } {
  const kept = keepEnding(resolved, path);
  return { path: kept, rebaseName: baseName(path) === baseName(kept) ? "" : baseName(path) };
}

/** One end of a copy: its path and what exists there. */
export interface CopyEnd {
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
  /** Name for the copy if it differs from that of `path`. */
  readonly rebaseName: string;
}

export interface CopyPlan {
  /** Directory in which the archive is unpacked. */
  readonly directory: string;
  /** Replacement in the archive's names: the first occurrence of `from` becomes `to`. */
  readonly rename?: { readonly from: string; readonly to: string };
}

/**
 * Plans where the archive of `source` is unpacked, and under which name.
 * @throws Error if the destination cannot take such a source
 */
export function planCopy(source: CopyEnd, destination: CopyEnd): CopyPlan {
  if (destination.exists && destination.isDirectory) return { directory: destination.path };
  if (destination.exists && source.isDirectory) throw new Error("cannot copy directory");
  const assertsDirectory = endsInSlash(destination.path) || meansContent(destination.path);
  if (!destination.exists && !source.isDirectory && assertsDirectory) throw new Error("no such directory");
  const { directory, base } = splitPath(destination.path);
  return { directory, rename: { from: source.rebaseName || splitPath(source.path).base, to: base } };
}

/** Returns an entry's name after `rename`. The archive of "/" has no last name to replace. */
export function renameEntry(name: string, { from, to }: NonNullable<CopyPlan["rename"]>): string {
  return name.replace(from === "/" ? "" : from, () => to);
}
