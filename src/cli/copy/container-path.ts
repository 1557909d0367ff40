/**
 * Paths of `cp`, by the rules of the stock client: what a copy is called where it arrives depends on the ends of both
 * paths and on what is there already.
 */
import { posix } from "node:path";

/** "web:/etc/hosts" → the container and the path in it; a path of this machine has no container. */
export function splitContainerPath(argument: string): { container: string; path: string } {
  const colon = argument.indexOf(":");
  // "./a:b" and "../a:b" name files whose names have a colon.
  if (argument.startsWith("/") || colon === -1 || argument.startsWith(".")) return { container: "", path: argument };
  return { container: argument.slice(0, colon), path: argument.slice(colon + 1) };
}

/** Go's path/filepath.Clean. */
export function cleanPath(path: string): string {
  if (path === "") return ".";
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** Go's path/filepath.Base. */
export function baseName(path: string): string {
  if (path === "") return ".";
  const bare = path.replace(/\/+$/, "");
  return bare === "" ? "/" : bare.slice(bare.lastIndexOf("/") + 1);
}

function endsInSlash(path: string): boolean {
  return path.endsWith("/");
}

/** "a/." means what is in the directory `a`. */
function meansContent(path: string): boolean {
  return baseName(path) === ".";
}

/** Directory and last name of a path; "/." at the end is a last name of its own. */
export function splitPath(path: string): { directory: string; base: string } {
  const clean = cleanPath(path) + (meansContent(path) ? "/." : "");
  const slash = clean.lastIndexOf("/");
  return { directory: cleanPath(slash === -1 ? "" : clean.slice(0, slash + 1)), base: baseName(clean) };
}

/** `clean`, a cleaned form of `original`, with the "/." or "/" that cleaning took. */
export function keepEnding(clean: string, original: string): string {
  let path = clean;
  if (!meansContent(path) && meansContent(original)) path += endsInSlash(path) ? "." : "/.";
  return !endsInSlash(path) && endsInSlash(original) ? `${path}/` : path;
}

/** What a link was called by the user while `resolved` is what it leads to: the copy keeps the name. */
export function rebase(path: string, resolved: string): { path: string; rebaseName: string } {
  const kept = keepEnding(resolved, path);
  return { path: kept, rebaseName: baseName(path) === baseName(kept) ? "" : baseName(path) };
}

/** One end of a copy. */
export interface CopyEnd {
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
  /** Name for the copy if not that of `path`. */
  readonly rebaseName: string;
}

export interface CopyPlan {
  /** Where the archive is unpacked. */
  readonly directory: string;
  /** First occurrence of `from` in names of the archive that becomes `to`. */
  readonly rename?: { readonly from: string; readonly to: string };
}

/** @throws Error if the destination cannot take such a source */
export function planCopy(source: CopyEnd, destination: CopyEnd): CopyPlan {
  if (destination.exists && destination.isDirectory) return { directory: destination.path };
  if (destination.exists && source.isDirectory) throw new Error("cannot copy directory");
  const assertsDirectory = endsInSlash(destination.path) || meansContent(destination.path);
  if (!destination.exists && !source.isDirectory && assertsDirectory) throw new Error("no such directory");
  const { directory, base } = splitPath(destination.path);
  return { directory, rename: { from: source.rebaseName || splitPath(source.path).base, to: base } };
}

/** An archive's name for an entry after `rename`. The archive of "/" has no last name to replace. */
export function renameEntry(name: string, { from, to }: NonNullable<CopyPlan["rename"]>): string {
  return name.replace(from === "/" ? "" : from, () => to);
}
