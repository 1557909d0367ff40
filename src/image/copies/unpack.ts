/**
 * Unpacks archives that ADD names. An archive is unpacked beside the new layer, where nobody is, and then moved into it by giving its
 * files second names: so what it says of paths that leave it, or of links, concerns a directory of its own.
 */
import { closeSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import { type BytePath, bytePath, O_DIRECTORY, O_PATH, openat } from "../../linux/sys/fs.ts";
import { decompressStream } from "../tar/compression.ts";
import { LiveExtractor } from "../tar/extract-live.ts";
import { beginsWithEntry, TAR_BLOCK_BYTES, type TarEntry, TarReader } from "../tar/tar-reader.ts";
import { closeAll } from "../tree/layered-fs.ts";
import { EntryWriter } from "./copy.ts";
import { LayerTarget, type Owner, type TargetDirectory } from "./layer-target.ts";
import { LayerTree } from "./layer-tree.ts";
import { isFile, type SourceEntry } from "./source-tree.ts";
import { type WalkEntry, walk } from "./walk.ts";

async function* bytesOf(source: SourceEntry): AsyncGenerator<Uint8Array> {
  yield* source.read();
}

/**
 * Tells whether it is a file that begins as a tar does, compressed or not. @throws LighterError ("unavailable") if that cannot be
 * told here
 */
export async function isArchive(source: SourceEntry): Promise<boolean> {
  if (!isFile(source)) return false;
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of decompressStream(bytesOf(source))) {
      head = Buffer.concat([head, chunk.subarray(0, TAR_BLOCK_BYTES)]);
      if (head.length >= TAR_BLOCK_BYTES) break;
    }
  } catch (error) {
    if (error instanceof LighterError && error.code !== "unavailable") return false;
    throw error;
  }
  return beginsWithEntry(head);
}

interface UnpackOptions {
  /** An absolute path, which becomes a directory. */
  destination: BytePath;
  /** The owner of directories that are made on the way there. */
  owner: Owner;
  /** A directory, empty and on the file system of the new layer, for what is unpacked. */
  stagingPath: string;
  /** The directories of the new layer, and of those below it. */
  layerPaths: { upper: string; lower: readonly string[] };
}

export async function unpackSource(
  target: LayerTarget,
  source: SourceEntry,
  { destination, owner, stagingPath, layerPaths }: UnpackOptions,
  beat: () => void,
): Promise<void> {
  const mentioned = await unpackInto(stagingPath, source, beat);
  const staged = new LayerTree([stagingPath]).find(bytePath("/"))!;
  try {
    new Merge(target, mentioned, layerPaths, beat).merge(target.directory(destination, owner), staged, beat);
  } finally {
    staged.close();
  }
}

/** Unpacks into the directory. Returns its own attributes, if the archive has any for it, and the directories that it mentions. */
async function unpackInto(stagingPath: string, source: SourceEntry, beat: () => void): Promise<Mentioned> {
  const rootFd = openat(AT_FDCWD, bytePath(stagingPath), O_PATH | O_DIRECTORY);
  const extractor = new LiveExtractor(rootFd, bytePath("/"), { keepKinds: false });
  const mentioned: Mentioned = { root: undefined, directories: new Set() };
  const entry = (each: TarEntry): void => {
    const path = posix.join("/", each.path, ".");
    if (each.type === "directory" && path === "/") mentioned.root = each;
    else if (each.type === "directory") mentioned.directories.add(posix.relative("/", path));
    extractor.entry(each);
  };
  const data = (bytes: Uint8Array, offset: number): void => extractor.data(bytes, offset);
  try {
    const reader = new TarReader({ entry, data, endEntry: () => extractor.endEntry() });
    for await (const chunk of decompressStream(bytesOf(source))) {
      reader.push(chunk);
      beat();
    }
    reader.end();
    extractor.finish();
    return mentioned;
  } finally {
    extractor.close();
    closeSync(rootFd);
  }
}

interface Mentioned {
  root: TarEntry | undefined;
  directories: Set<string>;
}

/** Puts a tree over what is there. Unlike a copy, it replaces whatever is in its way. */
class Merge {
  readonly #writer: EntryWriter;
  readonly #mentioned: Mentioned;
  readonly #layerPaths: UnpackOptions["layerPaths"];
  readonly #stack: { directory: TargetDirectory; target?: LayerTarget }[] = [];

  constructor(target: LayerTarget, mentioned: Mentioned, layerPaths: UnpackOptions["layerPaths"], beat: () => void) {
    this.#writer = new EntryWriter(target, {}, beat);
    this.#mentioned = mentioned;
    this.#layerPaths = layerPaths;
  }

  merge(top: TargetDirectory, staged: SourceEntry, beat: () => void): void {
    this.#stack.push({ directory: top });
    if (this.#mentioned.root !== undefined) top.change(this.#mentioned.root);
    const directory = (met: WalkEntry): void => (met.path === "" ? undefined : this.#enter(met));
    const leaf = ({ path, entry }: WalkEntry): void => this.#leaf(posix.basename(path), entry);
    const leave = ({ path }: WalkEntry): void => (path === "" ? undefined : this.#leave());
    try {
      walk(staged, {}, { directory, leaf, leave }, beat);
    } finally {
      while (this.#stack.length > 1) this.#leave();
    }
  }

  get #directory(): TargetDirectory {
    return this.#stack.at(-1)!.directory;
  }

  #leave(): void {
    const { directory, target } = this.#stack.pop()!;
    if (target === undefined) directory.close();
    else target[Symbol.dispose]();
  }

  #enter({ path, entry }: WalkEntry): void {
    const [parent, name] = [this.#directory, posix.basename(path)];
    const attributes = this.#writer.attributes(entry);
    const isMentioned = this.#mentioned.directories.has(path);
    const existing = parent.find(name);
    if (existing?.stat.isDirectory()) {
      const directory = parent.open(name, existing);
      if (isMentioned) directory.change(attributes);
      this.#stack.push({ directory });
      return;
    }
    if (existing !== undefined) {
      closeAll(existing.fds);
      const led =
        isMentioned || !existing.stat.isSymbolicLink() ? undefined : this.#follow(posix.join(parent.path, name));
      if (led !== undefined) {
        this.#stack.push(led);
        return;
      }
      parent.clear(name, existing);
    }
    this.#stack.push({ directory: parent.make(name, attributes) });
  }

  /** A directory that the archive only implies may be a symlink to one. */
  #follow(path: string): { directory: TargetDirectory; target: LayerTarget } | undefined {
    const target = new LayerTarget(this.#layerPaths.upper, this.#layerPaths.lower);
    const { directory, missing, name } = target.resolve(path as BytePath);
    if (missing.length === 0 && name === undefined) return { directory, target };
    target[Symbol.dispose]();
    return undefined;
  }

  #leaf(name: string, entry: SourceEntry): void {
    const existing = this.#directory.find(name);
    if (existing !== undefined) {
      closeAll(existing.fds);
      this.#directory.clear(name, existing);
    }
    this.#writer.make(this.#directory, name, entry);
  }
}
