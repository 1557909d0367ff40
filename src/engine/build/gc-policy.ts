/** What goes from the cache of builds by itself. Source: moby builder/builder-next/worker/gc.go (dockerd's default). */
import { type CacheRecord, NO_RULES, type PruneRules } from "./cache-prune.ts";

/** The settings of `builder.gc`. */
export interface GcSettings {
  enabled: boolean;
  /** What the default rules leave; undefined: a tenth of the disk. */
  reservedBytes: number | undefined;
  /** In place of the default rules. */
  policy: readonly PruneRules[] | undefined;
}

export const DEFAULT_GC: GcSettings = { enabled: true, reservedBytes: undefined, policy: undefined };

const HOUR_MS = 60 * 60 * 1000;
const REPRODUCIBLE_AGE_MS = 48 * HOUR_MS;
const UNUSED_AGE_MS = 60 * 24 * HOUR_MS;
const REPRODUCIBLE_BYTES = 512e6;
const DISK_SHARE = 0.1;
const GIB = 2 ** 30;
const GB = 1e9;

const REPRODUCIBLE: ReadonlySet<CacheRecord["type"]> = new Set([
  "source.local",
  "exec.cachemount",
  "source.git.checkout",
]);

/** The rules, one after another, for a disk of that size. */
export function gcRules({ enabled, policy, reservedBytes: given }: GcSettings, diskBytes: number): PruneRules[] {
  if (!enabled) return [];
  if (policy !== undefined && policy.length > 0) return [...policy];
  const reservedBytes = given ?? (Math.floor((diskBytes * DISK_SHARE) / GIB) + 1) * GB;
  return [
    {
      ...NO_RULES,
      matches: ({ type }) => REPRODUCIBLE.has(type),
      unusedForMs: REPRODUCIBLE_AGE_MS,
      reservedBytes: REPRODUCIBLE_BYTES,
    },
    { ...NO_RULES, unusedForMs: UNUSED_AGE_MS, reservedBytes },
    { ...NO_RULES, reservedBytes },
    { ...NO_RULES, all: true, reservedBytes },
  ];
}
