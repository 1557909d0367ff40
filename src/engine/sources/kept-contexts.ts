/** Contexts that builds have left to the next ones of the same directories. They last as long as the daemon. */
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { log } from "../../base/log.ts";
import type { Trash } from "../../files/mod.ts";
import { KnownContext } from "../../image/mod.ts";
import type { CacheRecord } from "../build/cache-prune.ts";

interface KeptContext {
  /** Undefined: the first build has not left it yet. */
  path: string | undefined;
  digests: Map<string, string>;
  record: CacheRecord;
}

/** The right of one build to use what is kept of a directory, and to leave something newer, until it is disposed of. */
export interface KeptLease extends Disposable {
  /** What an earlier build has left; undefined: nothing of use. */
  readonly known: KnownContext | undefined;
  /** What was computed of it, by what was meant. */
  readonly digests: Map<string, string>;
  /** Says that the spooled context in that directory is to take its place at the end, with what was computed of that. */
  keep(path: string, digests: Map<string, string>): void;
}

export class KeptContexts {
  readonly #path: string;
  readonly #trash: Pick<Trash, "discard">;
  readonly #kept = new Map<string, KeptContext>();

  /** Keeps them in a directory, in which a daemon before may have left some. */
  constructor(path: string, trash: Pick<Trash, "discard">) {
    this.#path = path;
    this.#trash = trash;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(path)) void trash.discard(join(path, name));
  }

  /** Takes the context of a directory. Returns undefined while another build has it. */
  lease(key: string): KeptLease | undefined {
    const kept = this.#kept.get(key) ?? { path: undefined, digests: new Map(), record: newRecord(key) };
    if (kept.record.isInUse) return undefined;
    kept.record.isInUse = true;
    kept.record.usageCount++;
    this.#kept.set(key, kept);
    let left: Pick<KeptContext, "path" | "digests"> | undefined;
    return {
      known: openKnown(kept.path),
      digests: kept.digests,
      keep: (path, digests) => {
        left = { path, digests };
      },
      [Symbol.dispose]: () => this.#release(key, kept, left),
    };
  }

  #release(key: string, kept: KeptContext, left: Pick<KeptContext, "path" | "digests"> | undefined): void {
    kept.record.isInUse = false;
    kept.record.lastUsedMs = Date.now();
    if (left !== undefined) this.#replace(kept, left);
    if (kept.path === undefined) this.#kept.delete(key);
  }

  #replace(kept: KeptContext, left: Pick<KeptContext, "path" | "digests">): void {
    try {
      const path = join(this.#path, randomId());
      renameSync(left.path!, path);
      if (kept.path !== undefined) void this.#trash.discard(kept.path);
      Object.assign(kept, { path, digests: left.digests });
      kept.record.sizeBytes = readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
    } catch (error) {
      log.error(`keep the context of a build: ${messageOf(error)}`);
    }
  }

  records(): CacheRecord[] {
    return [...this.#kept.values()].map(({ record }) => ({ ...record }));
  }

  /** Removes those that nobody uses. */
  async remove(ids: ReadonlySet<string>): Promise<void> {
    for (const [key, { path, record }] of this.#kept)
      if (ids.has(record.id) && !record.isInUse) {
        this.#kept.delete(key);
        await this.#trash.discard(path!);
      }
  }
}

function newRecord(key: string): CacheRecord {
  const now = Date.now();
  return {
    ...{
      id: randomId(),
      type: "source.local",
      description: `local source for ${key.slice(key.lastIndexOf("\n") + 1)}`,
    },
    ...{ parents: [], sizeBytes: 0, isInUse: false, isShared: false },
    ...{ createdMs: now, lastUsedMs: now, usageCount: 0 },
  };
}

function openKnown(path: string | undefined): KnownContext | undefined {
  if (path === undefined) return undefined;
  try {
    return new KnownContext(path);
  } catch (error) {
    log.error(`open the context of an earlier build: ${messageOf(error)}`);
    return undefined;
  }
}
