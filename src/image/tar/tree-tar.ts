/**
 * Writes tars of directory trees that overlayfs uses, in two forms:
 *
 *   merged   what a container sees: the upper directory over the layers below it (`export`)
 *   layer    the upper directory alone, as a layer of an image (`commit`), with overlayfs's marks as image-spec's:
 *              NAME, a character device 0:0           →  ".wh.NAME"
 *              xattr trusted.overlay.opaque=y of DIR  →  "DIR/.wh..wh..opq"
 *
 * The container's processes may change the tree meanwhile, and are hostile: each entry is opened by itself in its parent's fd
 * with O_PATH | O_NOFOLLOW, and from then on used by that fd. So whatever is renamed or linked, nothing outside the tree is ever
 * opened; at worst the tar mixes two moments. Only regular files are read.
 *
 * As with Docker, names are sorted, times are whole seconds, and sockets have no entry. Unlike Docker, which knows
 * security.capability only, xattrs of users and access lists are kept, and "/" is described.
 * Sources: image-spec layer.md; Linux Documentation/filesystems/overlayfs.rst.
 */
import { closeSync, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { LAYER_MAX_ENTRIES, LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import {
  type BytePath,
  ENOENT,
  getxattrFd,
  kernelError,
  listXattrsFd,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  PATH_MAX,
  readlinkFd,
  showPath,
  splitDevice,
  tryOpenat,
} from "../../linux/sys/fs.ts";
import { isPlainFile } from "../../linux/sys/send-file.ts";
import { FILE_RANGE_MIN_BYTES, type FileRange, rangesOf } from "../../spec/file-range.ts";
import {
  closeAll,
  type Found,
  identityOf,
  isOpaque,
  isWhiteout,
  lookup,
  namesIn,
  openRoots,
} from "../tree/layered-fs.ts";
import { entryForContainer, type IdTranslations } from "./id-translation.ts";
import type { TarEntry, TarEntryType } from "./tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "./tar-writer.ts";
import { OPAQUE_MARKER, WHITEOUT_PREFIX } from "./unpack.ts";

const CHUNK_BYTES = 1024 * 1024;

/** The xattrs that mean something on another host, or inside a container at all. */
const KEPT_XATTR =
  /^(user\.(?!overlay\.)|trusted\.(?!overlay\.)|system\.posix_acl_(access|default)$|security\.capability$)/;

export function isKeptXattr(name: string): boolean {
  return KEPT_XATTR.test(name);
}

/** Marks in an upper directory whose mount had these features on: part of what it shows is elsewhere. */
const FOREIGN_XATTR = /^(trusted|user)\.overlay\.(redirect|metacopy)$/;

export interface TreeTarOptions {
  form: "merged" | "layer";
  /** True if the tar begins with "./", which describes "/" itself. */
  includeRoot: boolean;
  /** Unix time: what was changed later is said to have been changed then. */
  maxMtimeSeconds?: number;
  /** Called for each entry. */
  beat?: () => void;
}

/**
 * Writes the tar. `layerPaths` are directories on the host, topmost first. A chunk is valid until the next is asked for.
 * @throws LighterError ("not-supported") for what no tar or layer can hold; ("kernel") with the errno.
 */
export function* writeTreeTar(layerPaths: readonly string[], options: TreeTarOptions): Generator<Uint8Array> {
  const writer = new TreeTarWriter(options.form, options.beat);
  writer.maxMtimeSeconds = options.maxMtimeSeconds ?? Number.POSITIVE_INFINITY;
  try {
    yield* writer.write(openRoots(layerPaths), options.includeRoot) as Generator<Uint8Array>; // nobody takes files
  } finally {
    writer.close();
  }
}

/** A tree of which each entry has its path below a directory, "linux_amd64/", that is described like the tree's own root. */
export interface TreeBelow {
  layers: readonly string[];
  /** "" for none. */
  below: string;
}

/** Writes several trees into one tar. @throws LighterError as `writeTreeTar` */
export function* writeTreesTar(
  trees: readonly TreeBelow[],
  { beat, maxMtimeSeconds = Number.POSITIVE_INFINITY }: Pick<TreeTarOptions, "beat" | "maxMtimeSeconds">,
): Generator<Uint8Array> {
  const writer = new TreeTarWriter("merged", beat);
  writer.maxMtimeSeconds = maxMtimeSeconds;
  try {
    for (const { layers, below } of trees) yield* writer.tree(openRoots(layers), below) as Generator<Uint8Array>;
    yield* writer.end() as Generator<Uint8Array>;
  } finally {
    writer.close();
  }
}

/**
 * Writes the tar of one file or directory as the mounted file system has it. `fd` is O_PATH; it is closed here. The entry is
 * called `name`, with a slash at its end for "." and "/"; the entries below it begin with that. A directory that `isClosed` is
 * written without its content. `ids` are those of a container in a user namespace. Where `takesFiles`, large files are ranges.
 * @throws LighterError as `writeTreeTar`
 */
export function* writeFileTar(
  fd: number,
  name: BytePath,
  isClosed: (directoryFd: number) => boolean,
  { ids, beat, takesFiles }: { ids?: IdTranslations | undefined; beat?: () => void; takesFiles?: boolean } = {},
): Pieces {
  const writer = new TreeTarWriter("mounted", beat, isClosed, ids, takesFiles);
  try {
    yield* writer.writeOne(fd, name);
  } finally {
    writer.close();
  }
}

type Pieces = Generator<Uint8Array | FileRange>;

/** A directory whose entries are being written. */
interface Level {
  fds: number[];
  /** "" or a path with its final slash. */
  path: string;
  /** Names that are still to be written, the next one last. */
  names: string[];
}

/** "mounted": one directory, in which overlayfs's marks are ordinary files and attributes. */
type Form = TreeTarOptions["form"] | "mounted";

class TreeTarWriter {
  readonly #form: Form;
  readonly #isClosed: (directoryFd: number) => boolean;
  readonly #ids: IdTranslations | undefined;
  readonly #takesFiles: boolean;
  readonly #levels: Level[] = [];
  /** For each file with several names, the path of the first. */
  readonly #linked = new Map<string, BytePath>();
  #entryCount = 0;
  maxMtimeSeconds = Number.POSITIVE_INFINITY;
  readonly #beat: () => void;
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #chunkLength = 0;

  constructor(
    form: Form,
    beat: () => void = () => {},
    isClosed: (directoryFd: number) => boolean = () => false,
    ids?: IdTranslations,
    takesFiles = false,
  ) {
    this.#takesFiles = takesFiles;
    this.#form = form;
    this.#beat = beat;
    this.#ids = ids;
    this.#isClosed = isClosed;
  }

  close(): void {
    for (const { fds } of this.#levels.splice(0)) closeAll(fds);
  }

  /** Writes a tree, and the tar's end. It closes the fds. */
  *write(rootFds: number[], includeRoot: boolean): Pieces {
    this.#enter(rootFds, "");
    if (includeRoot) yield* this.#directory({ fds: rootFds, stat: fstatSync(rootFds[0]!) }, "./");
    yield* this.#allLevels();
    yield* this.end();
  }

  /** Writes a tree below a directory. It closes the fds. */
  *tree(rootFds: number[], below: string): Pieces {
    this.#enter(rootFds, below);
    if (below !== "") yield* this.#directory({ fds: rootFds, stat: fstatSync(rootFds[0]!) }, below);
    yield* this.#allLevels();
  }

  *end(): Pieces {
    yield* this.#put(TAR_END);
    if (this.#chunkLength > 0) yield this.#chunk.subarray(0, this.#chunkLength);
  }

  /** Writes one entry. It closes the fd. */
  *writeOne(fd: number, name: BytePath): Pieces {
    let isHeld = false;
    try {
      const found = { fds: [fd], stat: fstatSync(fd) };
      if (found.stat.isDirectory()) {
        const path = name.endsWith("/") ? name : `${name}/`;
        isHeld = true;
        this.#enter(found.fds, path);
        yield* this.#directory(found, path);
      } else if (!found.stat.isSocket()) yield* this.#leaf(found, name);
    } finally {
      if (!isHeld) closeSync(fd);
    }
    yield* this.#allLevels();
    yield* this.end();
  }

  *#allLevels(): Pieces {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const name = level.names.pop();
      if (name === undefined) closeAll(this.#levels.pop()!.fds);
      else yield* this.#child(level, name);
    }
  }

  *#put(bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(bytes.length - at, CHUNK_BYTES - this.#chunkLength);
      this.#chunk.set(bytes.subarray(at, at + length), this.#chunkLength);
      at += length;
      yield* this.#advance(length);
    }
  }

  *#advance(byteCount: number): Generator<Uint8Array> {
    this.#chunkLength += byteCount;
    if (this.#chunkLength < CHUNK_BYTES) return;
    yield this.#chunk;
    this.#chunkLength = 0;
  }

  #enter(fds: number[], path: string): void {
    const level: Level = { fds, path, names: [] };
    this.#levels.push(level); // must come first: what is on the stack gets closed, whatever happens
    if (!this.#isClosed(fds[0]!)) level.names = [...namesIn(fds)].sort().reverse();
  }

  *#child(level: Level, name: string): Pieces {
    this.#beat();
    const path = (level.path + name) as BytePath;
    if (++this.#entryCount > LAYER_MAX_ENTRIES)
      throw refused(path, `is beyond the limit of ${LAYER_MAX_ENTRIES} entries`);
    if (path.length >= PATH_MAX) throw refused(path, `has a path longer than ${PATH_MAX - 1} bytes`);
    const found = this.#form === "merged" ? lookup(level.fds, name) : lookupOne(level.fds[0]!, name);
    if (found === undefined) return; // it is whited out, or has gone meanwhile
    let isHeld = false;
    try {
      const { stat } = found;
      if (this.#form === "layer" && name.startsWith(WHITEOUT_PREFIX))
        throw refused(path, `has a name that means something else in a layer: it begins with "${WHITEOUT_PREFIX}"`);
      if (stat.isDirectory()) {
        if (this.#levels.length >= LAYER_PATH_MAX_DEPTH)
          throw refused(path, `is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
        isHeld = true;
        this.#enter(found.fds, `${path}/`);
        yield* this.#directory(found, `${path}/`);
      } else if (this.#form === "layer" && isWhiteout(stat))
        yield* this.#whiteout(level.path + WHITEOUT_PREFIX + name, stat, 0o600);
      else if (!stat.isSocket()) yield* this.#leaf(found, path);
    } finally {
      if (!isHeld) closeAll(found.fds);
    }
  }

  *#directory(found: Found, path: string): Generator<Uint8Array> {
    yield* this.#header(this.#entryOf(found, "directory", path));
    if (this.#form === "layer" && isOpaque(found.fds[0]!))
      yield* this.#whiteout(`${path}${OPAQUE_MARKER}`, found.stat, found.stat.mode & 0o777);
  }

  #header(entry: TarEntry): Generator<Uint8Array> {
    return this.#put(this.#encode(this.#ids === undefined ? entry : entryForContainer(entry, this.#ids)));
  }

  #encode(entry: TarEntry): Buffer {
    const { mtimeSeconds } = entry;
    return encodeTarHeader(
      mtimeSeconds > this.maxMtimeSeconds ? { ...entry, mtimeSeconds: this.maxMtimeSeconds } : entry,
    );
  }

  #entryOf({ fds, stat }: Found, type: TarEntryType, path: string): TarEntry {
    const { major, minor } = type === "char" || type === "block" ? splitDevice(stat.rdev) : { major: 0, minor: 0 };
    return {
      ...attributesOf(stat),
      type,
      path: path as BytePath,
      deviceMajor: major,
      deviceMinor: minor,
      xattrs: readXattrs(fds[0]!, path, this.#form),
    };
  }

  #whiteout(path: string, stat: Stats, mode: number): Generator<Uint8Array> {
    return this.#put(this.#encode({ ...attributesOf(stat), type: "file", path: path as BytePath, mode }));
  }

  *#leaf(found: Found, path: BytePath): Pieces {
    const { fds, stat } = found;
    const first = stat.nlink > 1 ? this.#firstName(fds[0]!, path) : undefined;
    if (first !== undefined) yield* this.#header({ ...attributesOf(stat), type: "hardlink", path, linkPath: first });
    else if (stat.isSymbolicLink())
      yield* this.#header({ ...attributesOf(stat), type: "symlink", path, linkPath: readlinkFd(fds[0]!) });
    else if (stat.isFile()) yield* this.#file(found, path);
    else yield* this.#header(this.#entryOf(found, specialTypeOf(stat), path));
  }

  /** The path under which the file was written first; undefined if that is now. */
  #firstName(fd: number, path: BytePath): BytePath | undefined {
    const key = identityOf(fd);
    const first = this.#linked.get(key);
    if (first === undefined) this.#linked.set(key, path);
    return first;
  }

  *#file(found: Found, path: BytePath): Pieces {
    // Through /proc the very file that was looked up is opened. It is a regular one, so opening does not wait.
    const fd = openSync(`/proc/self/fd/${found.fds[0]!}`, O_RDONLY | O_NONBLOCK);
    try {
      const { size } = found.stat;
      yield* this.#header({ ...this.#entryOf({ ...found, fds: [fd] }, "file", path), size });
      if (this.#takesFiles && size >= FILE_RANGE_MIN_BYTES && isPlainFile(fd)) yield* this.#ranges(fd, size);
      else yield* this.#content(fd, size);
      yield* this.#put(new Uint8Array(tarPaddingBytes(size)));
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Writes a file's content. The header has promised `size` bytes: a file that has shrunk is filled up with zeros, and growth is
   * left out.
   */
  *#content(fd: number, size: number): Generator<Uint8Array> {
    for (let left = size; left > 0; ) {
      const room = Math.min(left, CHUNK_BYTES - this.#chunkLength);
      const count = readSync(fd, this.#chunk, this.#chunkLength, room, null) || this.#fillZeros(room);
      left -= count;
      yield* this.#advance(count);
    }
  }

  *#ranges(fd: number, size: number): Pieces {
    if (this.#chunkLength > 0) yield this.#chunk.subarray(0, this.#chunkLength);
    this.#chunkLength = 0;
    for (const range of rangesOf(fd, size)) {
      yield range;
      this.#beat();
    }
  }

  #fillZeros(byteCount: number): number {
    this.#chunk.fill(0, this.#chunkLength, this.#chunkLength + byteCount);
    return byteCount;
  }
}

function refused(path: string, why: string): LighterError {
  return new LighterError("not-supported", `"/${showPath(path)}" ${why}`);
}

function specialTypeOf(stat: Stats): TarEntryType {
  if (stat.isFIFO()) return "fifo";
  return stat.isBlockDevice() ? "block" : "char";
}

/** Looks up as `lookup` does, but a whiteout is an entry. */
function lookupOne(directoryFd: number, name: string): Found | undefined {
  const fd = tryOpenat(directoryFd, name, O_PATH | O_NOFOLLOW);
  if (fd === ENOENT) return undefined;
  if (fd < 0) throw kernelError(fd, `open "${showPath(name)}"`);
  return { fds: [fd], stat: fstatSync(fd) };
}

function attributesOf(stat: Stats): TarEntry {
  return {
    type: "file",
    path: "" as BytePath,
    linkPath: "" as BytePath,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    size: 0,
    mtimeSeconds: Math.floor(stat.mtimeMs / 1000),
    mtimeNanoseconds: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  };
}

/** The xattrs of a file, by an fd which may be O_PATH, that are part of what it is. Symlinks have none. */
export function readXattrs(fd: number, path: string, form: Form): TarEntry["xattrs"] {
  const xattrs: TarEntry["xattrs"] = [];
  for (const name of listXattrsFd(fd)) {
    if (form !== "mounted" && FOREIGN_XATTR.test(name))
      throw new LighterError(
        "not-supported",
        `"/${showPath(path)}" was written with overlayfs's ${name.split(".")[2]} on`,
        {
          hint: "it was mounted by another program, or an older version: make the container anew",
        },
      );
    if (!isKeptXattr(name)) continue;
    if (name.includes("=")) throw refused(path, `has an xattr that no tar can hold: "${showPath(name)}"`);
    const value = getxattrFd(fd, name);
    if (value !== undefined) xattrs.push({ name, value }); // otherwise it was removed meanwhile
  }
  return xattrs;
}
