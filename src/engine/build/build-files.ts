/** The work on files for a build's steps, done in a file worker. Trees are hostile, and the kernel resolves paths in them. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { compilePathPattern } from "../../base/path-pattern.ts";
import { decompressStream, LiveExtractor, TarReader, writeFileTar } from "../../image/mod.ts";
import {
  type BytePath,
  bytePath,
  ENOENT,
  kernelError,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  tryOpenat2,
} from "../../linux/sys/fs.ts";
import type { CopyArgument } from "./build-jobs.ts";

const resolveInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
const everything = () => false;

/** A source that exists, open with O_PATH: of a symlink, its target. */
interface Source {
  fd: number;
  name: string;
  isDirectory: boolean;
}

/** Opens the sources in the order of the patterns, and of names. @throws LighterError with Docker's words if nothing is there. */
function* openSources(rootFd: number, patterns: readonly string[]): Generator<Source> {
  for (const pattern of patterns) {
    const clean = posix.resolve("/", pattern);
    const paths = /[*?[\\]/.test(clean) ? matchingPaths(rootFd, clean.split("/").slice(1), "/") : [clean];
    if (paths.length === 0) throw new LighterError("invalid", `COPY failed: no source files were specified`);
    for (const path of paths) {
      const fd = tryOpenat2(rootFd, bytePath(path), O_PATH, resolveInRoot);
      if (fd === ENOENT)
        throw new LighterError(
          "invalid",
          `COPY failed: file not found in build context or excluded by .dockerignore: stat ${posix.relative("/", path)}: file does not exist`,
        );
      if (fd < 0) throw kernelError(fd, `open "${path}"`);
      yield { fd, name: posix.basename(path) || "/", isDirectory: fstatSync(fd).isDirectory() };
    }
  }
}

/** Returns the paths that match, component by component, sorted. */
function matchingPaths(rootFd: number, [first, ...rest]: readonly string[], directory: string): string[] {
  if (first === undefined) return [directory];
  if (!/[*?[\\]/.test(first)) return matchingPaths(rootFd, rest, posix.join(directory, first));
  const matches = compilePathPattern(first);
  if (matches === undefined) throw new LighterError("invalid", `syntax error in pattern: ${first}`);
  return namesIn(rootFd, directory)
    .filter(matches)
    .sort()
    .flatMap((name) => matchingPaths(rootFd, rest, posix.join(directory, name)));
}

function namesIn(rootFd: number, directory: string): string[] {
  const fd = tryOpenat2(rootFd, bytePath(directory), O_RDONLY | O_DIRECTORY, resolveInRoot);
  if (fd < 0) return [];
  try {
    return readdirSync(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/** Computes the sources' digest: names, kinds, modes, links and bytes, but neither times nor owners, which a copy does not keep. */
export async function hashSources(rootFd: number, patterns: readonly string[], beat: () => void): Promise<string> {
  const hash = createHash("sha256");
  for (const { fd, name, isDirectory } of openSources(rootFd, patterns)) {
    const reader = new TarReader(hashingSink(hash));
    for (const chunk of writeFileTar(fd, bytePath(isDirectory ? "./" : name), everything, undefined, beat))
      reader.push(chunk);
    reader.end();
  }
  return `sha256:${hash.digest("hex")}`;
}

function hashingSink(hash: Hash) {
  return {
    entry({
      mtimeSeconds: _s,
      mtimeNanoseconds: _n,
      uid: _u,
      gid: _g,
      xattrs,
      ...entry
    }: Parameters<LiveExtractor["entry"]>[0]) {
      const shown = xattrs.map(({ name, value }) => [name, Buffer.from(value).toString("base64")]);
      hash.update(`${JSON.stringify([entry, shown])}\n`);
    },
    data(bytes: Uint8Array, offset: number) {
      hash.update(`${offset} ${bytes.length}\n`).update(bytes);
    },
    endEntry() {},
  };
}

/** Copies from one root to another. */
export async function copySources(
  rootFd: number,
  sourceRootFd: number,
  { sources, destination, owner, unpack }: CopyArgument,
  beat: () => void,
): Promise<null> {
  for (const source of openSources(sourceRootFd, sources)) {
    const { fd, name, isDirectory } = source;
    if (unpack && !isDirectory && (await isTar(fd))) {
      await unpackTar(rootFd, fd, destination, beat);
      continue;
    }
    const into = destination.endsWith("/") || isDirectoryAt(rootFd, destination);
    const target = isDirectory || !into ? destination : posix.join(destination, name);
    const extractor = new LiveExtractor(rootFd, bytePath("/"), { keepKinds: true, owner });
    // An existing directory keeps its own attributes.
    const isKept = isDirectory && isDirectoryAt(rootFd, target);
    const entryName = posix.relative("/", target) + (isDirectory ? "/" : "");
    try {
      const reader = new TarReader(isKept ? withoutFirst(extractor) : extractor);
      for (const chunk of writeFileTar(fd, bytePath(entryName === "/" ? "./" : entryName), everything, undefined, beat))
        reader.push(chunk);
      reader.end();
      extractor.finish();
    } finally {
      extractor.close();
    }
  }
  return null;
}

function withoutFirst(extractor: LiveExtractor) {
  let count = 0;
  return {
    entry: (entry: Parameters<LiveExtractor["entry"]>[0]) => (count++ === 0 ? undefined : extractor.entry(entry)),
    data: (bytes: Uint8Array, offset: number) => extractor.data(bytes, offset),
    endEntry: () => (count === 1 ? undefined : extractor.endEntry()),
  };
}

function isDirectoryAt(rootFd: number, path: string): boolean {
  const fd = tryOpenat2(rootFd, bytePath(path), O_PATH | O_DIRECTORY, resolveInRoot);
  if (fd >= 0) closeSync(fd);
  return fd >= 0;
}

/** Makes the directory, and the missing ones above it. */
export function makeDirectoryIn(rootFd: number, path: string): null {
  if (isDirectoryAt(rootFd, path)) return null;
  const extractor = new LiveExtractor(rootFd, bytePath("/"), { keepKinds: true });
  const nothing = { linkPath: "" as BytePath, uid: 0, gid: 0, size: 0, deviceMajor: 0, deviceMinor: 0, xattrs: [] };
  const now = { mtimeSeconds: Math.floor(Date.now() / 1000), mtimeNanoseconds: 0 };
  try {
    extractor.entry({ ...nothing, ...now, type: "directory", mode: 0o755, path: bytePath(posix.relative("/", path)) });
    extractor.endEntry();
    extractor.finish();
    return null;
  } finally {
    extractor.close();
  }
}

// --- Archives that ADD unpacks ---

const CHUNK_BYTES = 1024 * 1024;

/** Reads a regular file from its beginning, given an O_PATH fd. */
async function* bytesOf(pathFd: number): AsyncGenerator<Uint8Array> {
  const fd = openSync(`/proc/self/fd/${pathFd}`, O_RDONLY);
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) yield buffer.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

const TAR_BLOCK = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

/** Tells whether a file begins with a header of a tar, compressed or not. */
async function isTar(fd: number): Promise<boolean> {
  if (!fstatSync(fd).isFile()) return false;
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of decompressStream(bytesOf(fd))) {
      head = Buffer.concat([head, chunk.subarray(0, TAR_BLOCK)]);
      if (head.length >= TAR_BLOCK) break;
    }
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-supported") throw error;
    return false;
  }
  if (head.length < TAR_BLOCK) return false;
  const written = Number.parseInt(head.toString("latin1", CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES), 8);
  let sum = CHECKSUM_BYTES * 0x20;
  for (const [at, byte] of head.subarray(0, TAR_BLOCK).entries())
    if (at < CHECKSUM_AT || at >= CHECKSUM_AT + CHECKSUM_BYTES) sum += byte;
  return written === sum;
}

async function unpackTar(rootFd: number, fd: number, destination: string, beat: () => void): Promise<void> {
  makeDirectoryIn(rootFd, destination);
  const extractor = new LiveExtractor(rootFd, bytePath(posix.resolve("/", destination)), { keepKinds: false });
  try {
    const reader = new TarReader(extractor);
    for await (const chunk of decompressStream(bytesOf(fd))) {
      reader.push(chunk);
      beat();
    }
    reader.end();
    extractor.finish();
  } finally {
    extractor.close();
    closeSync(fd);
  }
}
