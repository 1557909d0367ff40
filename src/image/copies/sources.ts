/** Finds what COPY and ADD copy, in a tree. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { compilePathPattern } from "../../base/path-pattern.ts";
import { type BytePath, bytePath, showPath } from "../../linux/sys/fs.ts";
import { isDirectory, type SourceEntry, type SourceTree } from "./source-tree.ts";

export interface Source {
  /** The caller closes it. */
  entry: SourceEntry;
  /** The path as it was asked for, which names the copy: the target of a symlink may be called something else. */
  path: BytePath;
}

/** A path of bytes as text, in which each byte that is no UTF-8 is a character of its own. */
export function textOfPath(path: string): string {
  const text = showPath(path);
  if (!text.includes("\ufffd")) return text;
  return text === Buffer.from(text).toString() && bytePath(text) === path ? text : escaped(path);
}

/** Bytes that are no UTF-8 become U+DC80 to U+DCFF, which no UTF-8 gives. */
function escaped(path: string): string {
  return path.replace(UTF8_OR_BYTE, (bytes) =>
    bytes.length > 1 || bytes < "\x80" ? showPath(bytes) : String.fromCharCode(0xdc00 + bytes.charCodeAt(0)),
  );
}

const UTF8_OR_BYTE =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\s\S]/g;

export function hasWildcards(path: string): boolean {
  return /[*?[]/.test(path.replace(/\\./gs, ""));
}

/**
 * Opens the one thing that a path leads to, symlinks followed, the last one unless `followLast` is false.
 * @throws LighterError ("not-found"), with the path as the context's, or the image's, user sees it.
 */
export function openSource(tree: SourceTree, path: BytePath, followLast = true): Source {
  const entry = followLast ? tree.find(path) : findItself(tree, path);
  if (entry === undefined)
    throw new LighterError("not-found", `stat ${showPath(posix.relative("/", path))}: file does not exist`);
  return { entry, path };
}

/** Finds what is at a path, which may be a symlink; those on the way are followed. */
function findItself(tree: SourceTree, path: BytePath): SourceEntry | undefined {
  const parent = tree.find(posix.dirname(path) as BytePath);
  try {
    return parent !== undefined && isDirectory(parent) && path !== "/" ? parent.child(posix.basename(path)) : undefined;
  } finally {
    parent?.close();
  }
}

/** Opens what matches a pattern, in the order of names. As with BuildKit, symlinks on the way to a match are not followed. */
export function* openMatches(tree: SourceTree, pattern: string, followLast = true): Generator<Source> {
  const components = pattern.split("/").filter((component) => component !== "");
  const fixedCount = components.findIndex(hasWildcards);
  const fixed = components.slice(0, fixedCount).map((component) => component.replace(/\\(.)/gs, "$1"));
  const directory = tree.find(bytePath(`/${fixed.join("/")}`));
  if (directory === undefined) return;
  const matchers = components.slice(fixedCount).map((component) => compileComponent(component, pattern));
  const base = bytePath(`/${fixed.join("/")}`);
  try {
    if (isDirectory(directory))
      for (const path of matchesIn(directory, matchers, base)) yield openSource(tree, path, followLast);
  } finally {
    directory.close();
  }
}

function compileComponent(component: string, pattern: string): (name: string) => boolean {
  const matches = compilePathPattern(component);
  if (matches === undefined) throw new LighterError("invalid", `syntax error in pattern: ${pattern}`);
  return (name) => matches(textOfPath(name));
}

function* matchesIn(
  directory: SourceEntry,
  [matches, ...rest]: readonly ((name: string) => boolean)[],
  base: BytePath,
): Generator<BytePath> {
  for (const name of directory.names().filter(matches!)) {
    const entry = directory.child(name);
    if (entry === undefined) continue; // it is whited out
    try {
      const path = posix.join(base, name) as BytePath;
      if (rest.length === 0) yield path;
      else if (isDirectory(entry)) yield* matchesIn(entry, rest, path);
    } finally {
      entry.close();
    }
  }
}
