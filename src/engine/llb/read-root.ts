/** Reads a root file system that a build has made, for front ends. Nothing is mounted, and nothing outside of it is seen. */
import type { Stats } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { GRPC_MESSAGE_MAX_BYTES } from "../../base/limits.ts";
import { compilePathPattern } from "../../base/path-pattern.ts";
import { type ImageStore, listInLayers, readFileInLayers, readlinkInLayers, statInLayers } from "../../image/mod.ts";
import { bytePath, showPath } from "../../linux/sys/fs.ts";
import { encodeGoMode } from "../../spec/go-file-mode.ts";

/** What is left of a message for a file's bytes. */
const FILE_MAX_BYTES = GRPC_MESSAGE_MAX_BYTES - 1024;

interface RootEntry {
  path: string;
  /** Go's os.FileMode. */
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtimeNs: bigint;
  linkPath: string;
}

export class RootReader {
  readonly #layers: readonly string[];

  /** `root`: the id of a snapshot, which is held. */
  constructor(images: ImageStore, root: string) {
    this.#layers = images.layersOf(root).lowerDirs;
  }

  /** @throws LighterError "not-found", and "invalid" for a file that is too large */
  readFile(path: string, { offset = 0, length = 0 } = {}): Buffer {
    const tooLarge = () => new LighterError("invalid", `${path} is larger than ${FILE_MAX_BYTES} bytes`);
    const bytes = readFileInLayers(this.#layers, clean(path), FILE_MAX_BYTES, tooLarge);
    if (bytes === undefined) throw notFound("open", path);
    return bytes.subarray(offset, length === 0 ? undefined : offset + length);
  }

  /** The attributes of what is at the path; symlinks on the way are followed. @throws LighterError "not-found" */
  stat(path: string): RootEntry {
    const stat = statInLayers(this.#layers, bytePath(clean(path)));
    if (stat === undefined) throw notFound("lstat", path);
    const { uid, gid, size, mtimeMs } = stat;
    const mode = encodeGoMode(typeOf(stat), stat.mode & 0o7777);
    const linkPath = stat.isSymbolicLink() ? showPath(readlinkInLayers(this.#layers, bytePath(clean(path)))) : "";
    const mtimeNs = BigInt(Math.trunc(mtimeMs)) * 1_000_000n;
    return { path: posix.basename(path), mode, uid, gid, size: stat.isFile() ? size : 0, mtimeNs, linkPath };
  }

  /** What is in a directory, in the order of names. `pattern`: those names alone, if it is given. @throws LighterError */
  list(path: string, pattern: string): RootEntry[] {
    const names = listInLayers(this.#layers, bytePath(clean(path)));
    if (names === undefined) throw notFound("open", path);
    const matches = pattern === "" ? () => true : compilePathPattern(pattern);
    if (matches === undefined) throw new LighterError("invalid", `syntax error in pattern: ${pattern}`);
    const shown = names.map(showPath).filter((name) => !name.includes("\ufffd") && matches(name));
    return shown.sort().map((name) => this.stat(posix.join(path, name)));
  }
}

function typeOf(stat: Stats): Parameters<typeof encodeGoMode>[0] {
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isFIFO()) return "fifo";
  if (stat.isCharacterDevice()) return "char";
  return stat.isBlockDevice() ? "block" : "file";
}

function clean(path: string): string {
  if (path.includes("\0")) throw new LighterError("invalid", `${JSON.stringify(path)} is no path`);
  return posix.resolve("/", path);
}

function notFound(what: string, path: string): LighterError {
  return new LighterError("not-found", `${what} ${clean(path)}: no such file or directory`);
}
