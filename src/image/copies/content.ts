/**
 * Digests of what is selected of sources: of names, kinds, modes, owners, links, xattrs and bytes, not of times. Two sources with the
 * same digest give the same copy.
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { O_NONBLOCK, O_RDONLY, readlinkFd } from "../../linux/sys/fs.ts";
import { readXattrs } from "../tar/tree-tar.ts";
import { type Found, identityOf } from "../tree/layered-fs.ts";
import type { KnownDigests } from "./known-digests.ts";
import { type Selection, type WalkEntry, walk } from "./walk.ts";

const CHUNK_BYTES = 1024 * 1024;

export class ContentHash {
  readonly #hash: Hash = createHash("sha256");
  readonly #beat: () => void;
  /** Numbers of files that may have several names, in the order in which they were met. */
  readonly #linked = new Map<string, number>();

  constructor(beat: () => void) {
    this.#beat = beat;
  }

  /** Adds a text that tells what follows from the same in another place. */
  note(text: string): void {
    this.#hash.update(`${text.length} ${text}\n`, "latin1");
  }

  /** Adds what is selected of a source. `known` are the digests of those of its files that need not be read. */
  add(source: Found, selection: Selection, known: KnownDigests | undefined): void {
    const directory = (entry: WalkEntry): void => this.#entry(entry, "");
    const leaf = (entry: WalkEntry): void => this.#entry(entry, this.#contentOf(entry.found, known));
    walk(source, selection, { directory, leaf, leave: () => {} }, this.#beat);
  }

  digest(): string {
    return `sha256:${this.#hash.digest("hex")}`;
  }

  #entry({ path, found: { fds, stat } }: WalkEntry, content: string): void {
    const { mode, uid, gid, rdev } = stat;
    const xattrs = stat.isSymbolicLink()
      ? []
      : readXattrs(fds[0]!, path, "mounted").map(({ name, value }) => [name, Buffer.from(value).toString("base64")]);
    this.note(JSON.stringify([path, mode, uid, gid, rdev, xattrs, content]));
  }

  #contentOf({ fds, stat }: Found, known: KnownDigests | undefined): string {
    if (stat.isSymbolicLink()) return readlinkFd(fds[0]!);
    if (!stat.isFile()) return "";
    const first = stat.nlink > 1 ? this.#firstOf(fds[0]!) : undefined;
    return first ?? known?.of(stat) ?? this.#read(fds[0]!);
  }

  /** If the file was met under another name, what says so: it is one file in the copy, too. */
  #firstOf(fd: number): string | undefined {
    const key = identityOf(fd);
    const number = this.#linked.get(key);
    if (number === undefined) this.#linked.set(key, this.#linked.size);
    return number === undefined ? undefined : `link ${number}`;
  }

  #read(pathFd: number): string {
    const fd = openSync(`/proc/self/fd/${pathFd}`, O_RDONLY | O_NONBLOCK);
    try {
      const hash = createHash("sha256");
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
        hash.update(chunk.subarray(0, length));
        this.#beat();
      }
      return hash.digest("hex");
    } finally {
      closeSync(fd);
    }
  }
}
