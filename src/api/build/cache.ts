/** The cache of builds: what is in it, and what goes. */
import { formatRfc3339, NS_PER_MS } from "../../base/time.ts";
import { type CacheRecord, compileCacheFilters, NO_RULES } from "../../engine/mod.ts";
import { Filters } from "../http/filters.ts";
import { sendJson } from "../http/protocol.ts";
import type { Query } from "../http/query.ts";
import type { AnswerCall } from "../http/router.ts";
import { publishPrune } from "../images/image-events.ts";

/** An entry as Docker's API lists it. */
export function describeRecord(record: CacheRecord): object {
  const time = (ms: number) => formatRfc3339(BigInt(ms) * NS_PER_MS);
  return {
    ID: record.id,
    ...(record.parents.length === 0 ? {} : { Parents: record.parents }),
    Type: record.type,
    Description: record.description,
    InUse: record.isInUse,
    Shared: record.isShared,
    Size: record.sizeBytes,
    CreatedAt: time(record.createdMs),
    LastUsedAt: time(record.lastUsedMs),
    UsageCount: record.usageCount,
  };
}

/** GET /lighter/builds/cache: the entries that the filters let through. */
export function listBuildCache({ daemon, query, response }: AnswerCall): void {
  const filters = Filters.parseAny(query.text("filters"));
  const { matches, unusedForMs } = compileCacheFilters((name) => filters.get(name));
  const latestMs = Date.now() - unusedForMs;
  const records = daemon.builder.household.list().filter((each) => matches(each) && each.lastUsedMs <= latestMs);
  sendJson(response, 200, records.map(describeRecord));
}

/** POST /build/prune */
export async function pruneBuildCache({ daemon, query, response }: AnswerCall): Promise<void> {
  const filters = Filters.parseAny(query.text("filters"));
  const gone = await daemon.builder.household.prune({
    ...NO_RULES,
    ...compileCacheFilters((name) => filters.get(name)),
    all: query.boolean("all"),
    reservedBytes: sizeOf(query, "reserved-space") || sizeOf(query, "keep-storage"),
    maxUsedBytes: sizeOf(query, "max-used-space"),
    minFreeBytes: sizeOf(query, "min-free-space"),
  });
  const bytes = gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  publishPrune(daemon, "builder", bytes);
  sendJson(response, 200, {
    CachesDeleted: gone.length === 0 ? null : gone.map(({ id }) => id),
    SpaceReclaimed: bytes,
  });
}

function sizeOf(query: Query, name: string): number {
  return Math.max(query.integer(name) ?? 0, 0);
}
