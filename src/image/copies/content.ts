/**
 * Digests of what is selected of sources: of names, kinds, modes, owners, links, xattrs and bytes, not of times. Two sources with the
 * same digest give the same copy.
 */
import { createHash, type Hash } from "node:crypto";
import { isFile, isSymlink, type SourceEntry } from "./source-tree.ts";
import { type Selection, type WalkEntry, walk } from "./walk.ts";

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

  /** Adds what is selected of a source. */
  add(source: SourceEntry, selection: Selection): void {
    const directory = (entry: WalkEntry): void => this.#entry(entry, "");
    const leaf = (entry: WalkEntry): void => this.#entry(entry, this.#contentOf(entry.entry));
    walk(source, selection, { directory, leaf, leave: () => {} }, this.#beat);
  }

  digest(): string {
    return `sha256:${this.#hash.digest("hex")}`;
  }

  #entry({ path, entry }: WalkEntry, content: string): void {
    const { uid, gid, xattrs } = entry.attributes();
    const shown = xattrs.map(({ name, value }) => [name, Buffer.from(value).toString("base64")]);
    this.note(JSON.stringify([path, entry.mode, uid, gid, entry.rdev, shown, content]));
  }

  #contentOf(entry: SourceEntry): string {
    if (isSymlink(entry)) return entry.target();
    if (!isFile(entry)) return "";
    return this.#firstOf(entry) ?? entry.digest() ?? this.#read(entry);
  }

  /** If the file was met under another name, what says so: it is one file in the copy, too. */
  #firstOf(entry: SourceEntry): string | undefined {
    const key = entry.identity();
    if (key === undefined) return undefined;
    const number = this.#linked.get(key);
    if (number === undefined) this.#linked.set(key, this.#linked.size);
    return number === undefined ? undefined : `link ${number}`;
  }

  #read(entry: SourceEntry): string {
    const hash = createHash("sha256");
    for (const bytes of entry.read()) {
      hash.update(bytes);
      this.#beat();
    }
    return hash.digest("hex");
  }
}
