/** A spooled context that a client may send again. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import type { TarEntry } from "../tar/tar-reader.ts";
import { KnownTree } from "./known-tree.ts";
import { ToldFiles, type ToldWriter } from "./told-files.ts";

export class KnownContext {
  /** The directory of the spooled context. */
  readonly path: string;
  readonly #told: ToldFiles;
  #opened: { tree: KnownTree | undefined } | undefined;

  constructor(path: string) {
    this.path = path;
    this.#told = new ToldFiles(path);
  }

  /** Tells whether the client says next what it said the last time. */
  isToldAgain(telling: Uint8Array): boolean {
    return this.#told.isNext(telling);
  }

  /** Whether it has said all of that. */
  get hasToldAll(): boolean {
    return this.#told.isAtEnd;
  }

  toldAgain(): Iterable<Uint8Array> {
    return this.#told.again();
  }

  /** Tells whether the entry is known as it is. It stays if it is. */
  has(entry: TarEntry): boolean {
    return this.tree?.has(entry) === true;
  }

  /** What a new context may begin with. It is not opened before something has changed. */
  get tree(): KnownTree | undefined {
    this.#opened ??= { tree: openKnown(this.path) };
    return this.#opened.tree;
  }

  /** Whether nothing has changed. */
  get isWhole(): boolean {
    return this.#opened === undefined ? this.hasToldAll : this.tree?.isWhole === true;
  }
}

function openKnown(path: string): KnownTree | undefined {
  try {
    return KnownTree.open(path);
  } catch (error) {
    log.error(`open the context of an earlier build: ${messageOf(error)}`);
    return undefined;
  }
}

/** What is known of a directory that comes, and where it is written down for the next time. */
export interface ContextMemory {
  known: Pick<KnownContext, "isToldAgain" | "hasToldAll" | "toldAgain" | "has"> | undefined;
  told: Pick<ToldWriter, "add">;
}
