/** Takes a root file system out of an archive: another directory's, with the ids that it has inside, without devices. */
import { LighterError } from "../../base/errors.ts";
import { entryForContainer, type IdTranslations } from "../../image/tar/id-translation.ts";
import { type TarEntry, TarReader } from "../../image/tar/tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "../../image/tar/tar-writer.ts";
import { type BytePath, showPath } from "../../linux/sys/fs.ts";
import { relativeName } from "./machine-image.ts";

/** What to do with an archive, and what was seen in it. */
interface Repacking {
  /** The directory that becomes the root, with a slash at its end; "" for the whole archive. */
  readonly rootPath: string;
  /** Set to true when there is an init. */
  hasInit: boolean;
}

/** A root directory that an id from here on owns is one of a user namespace: those ids are above the host's own users'. */
const SHIFTED_MIN_ID = 65536;
const SHIFTED_ID_COUNT = 65536;
/** The owner of what no id of the container owns. */
const NOBODY = 65534;
const ZEROS = new Uint8Array(64 * 1024);

/**
 * Yields the archive of the root alone. A chunk is valid until the next one is asked for.
 * @throws LighterError ("invalid") for a malformed archive
 */
export async function* repackRoot(chunks: AsyncIterable<Uint8Array>, repacking: Repacking): AsyncGenerator<Uint8Array> {
  const repacker = new Repacker(repacking);
  const reader = new TarReader(repacker);
  for await (const chunk of chunks) {
    reader.push(chunk);
    yield* repacker.take();
  }
  reader.end();
  yield TAR_END;
}

class Repacker {
  readonly #repacking: Repacking;
  /** Bytes in the order of the new archive; a number stands for as many zeros. */
  #pieces: (Uint8Array | number)[] = [];
  /** What is known of the current entry, if it is kept: its size, and how far its data is there. */
  #file: { size: number; offset: number } | undefined;
  #ids: IdTranslations | undefined;

  constructor(repacking: Repacking) {
    this.#repacking = repacking;
  }

  *take(): Generator<Uint8Array> {
    for (const piece of this.#pieces.splice(0))
      if (typeof piece !== "number") yield piece;
      else for (let left = piece; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
  }

  entry(entry: TarEntry): void {
    const path = this.#pathOf(entry.path);
    if (path === undefined || /^dev\/./.test(path)) return;
    if (path === "" && entry.uid >= SHIFTED_MIN_ID) this.#ids = shiftedBy(entry.uid, entry.gid);
    if (/^(?:usr\/)?sbin\/init$/.test(path)) this.#repacking.hasInit = true;
    const linkPath = entry.type === "hardlink" ? this.#pathOf(entry.linkPath) : entry.linkPath;
    if (linkPath === undefined)
      throw new LighterError(
        "invalid",
        `${showPath(entry.path)} is a link to what is outside of ${this.#repacking.rootPath}`,
      );
    const moved = { ...entry, path: (path || "./") as BytePath, linkPath: linkPath as BytePath };
    this.#pieces.push(encodeTarHeader(this.#ids === undefined ? moved : entryForContainer(moved, this.#ids)));
    this.#file = { size: entry.size, offset: 0 };
  }

  data(bytes: Uint8Array, offset: number): void {
    if (this.#file === undefined) return;
    this.#pieces.push(offset - this.#file.offset, bytes);
    this.#file.offset = offset + bytes.length;
  }

  endEntry(): void {
    if (this.#file === undefined) return;
    const { size, offset } = this.#file;
    this.#pieces.push(size - offset + tarPaddingBytes(size));
    this.#file = undefined;
  }

  /** Returns an entry's name below the root, or undefined if it is elsewhere. */
  #pathOf(path: string): string | undefined {
    const { rootPath } = this.#repacking;
    const name = relativeName(path);
    if (name.startsWith(rootPath)) return relativeName(name.slice(rootPath.length));
    return `${name}/` === rootPath ? "" : undefined;
  }
}

function shiftedBy(uid: number, gid: number): IdTranslations {
  const inside = (first: number) => (id: number) =>
    id >= first && id < first + SHIFTED_ID_COUNT ? id - first : NOBODY;
  return {
    toHost: { uid: (id) => id + uid, gid: (id) => id + gid },
    toContainer: { uid: inside(uid), gid: inside(gid) },
  };
}
