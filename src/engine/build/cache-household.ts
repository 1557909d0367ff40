/** Keeps the cache of builds within bounds. */
import { statfsSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import type { BuildCache } from "./build-cache.ts";
import { type CacheRecord, choosePruned, type PruneRules } from "./cache-prune.ts";
import { type GcSettings, gcRules } from "./gc-policy.ts";

/** The shortest time between two collections. */
const COLLECT_INTERVAL_MS = 60_000;

/** Directories that builds leave to later ones, beside their results. */
interface DirectoryStore {
  records(): CacheRecord[];
  /** Removes those that nobody uses. */
  remove(ids: ReadonlySet<string>): Promise<void>;
}

export class CacheHousehold {
  readonly #cache: BuildCache;
  readonly #stores: readonly DirectoryStore[];
  readonly #dataRoot: string;
  readonly #settings: GcSettings;
  #collectedMs = Number.NEGATIVE_INFINITY;

  constructor(cache: BuildCache, stores: readonly DirectoryStore[], dataRoot: string, settings: GcSettings) {
    this.#cache = cache;
    this.#stores = stores;
    this.#dataRoot = dataRoot;
    this.#settings = settings;
  }

  list(): CacheRecord[] {
    return [...this.#cache.records(), ...this.#stores.flatMap((store) => store.records())];
  }

  /** Removes what the rules say. Resolves with what has gone. */
  async prune(rules: PruneRules): Promise<CacheRecord[]> {
    const { bavail, bsize } = statfsSync(this.#dataRoot);
    const chosen = choosePruned(this.list(), rules, { nowMs: Date.now(), freeBytes: bavail * bsize });
    if (chosen.length === 0) return [];
    const ids = new Set(chosen.map(({ id }) => id));
    await this.#cache.tidy(ids);
    for (const store of this.#stores) await store.remove(ids);
    return chosen;
  }

  /** Removes what the settings say, if that has not been done a moment ago. */
  async collect(): Promise<void> {
    const now = performance.now();
    if (now - this.#collectedMs < COLLECT_INTERVAL_MS) return;
    this.#collectedMs = now;
    try {
      const { blocks, bsize } = statfsSync(this.#dataRoot);
      for (const rules of gcRules(this.#settings, blocks * bsize)) {
        const gone = await this.prune(rules);
        if (gone.length > 0) log.info(`build cache: ${gone.length} entries were not needed any more`);
      }
    } catch (error) {
      log.error(`collect what the build cache need not keep: ${messageOf(error)}`);
    }
  }
}
