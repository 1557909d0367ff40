/** The cache of builds in BuildKit's API: DiskUsage and Prune. */
import { LighterError } from "../../base/errors.ts";
import { compilePattern } from "../../base/linear-pattern.ts";
import { NS_PER_MS } from "../../base/time.ts";
import { type CacheRecord, NO_RULES } from "../../engine/mod.ts";
import type { DiskUsageRequest, PruneRequest, UsageRecord } from "../../spec/buildkit.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { timestampOfMs } from "./status-message.ts";

export function diskUsage({ builder }: Daemon, { filters }: DiskUsageRequest): { records: UsageRecord[] } {
  return { records: builder.household.list().filter(compileFilters(filters)).map(usageOf) };
}

export async function* prune({ builder }: Daemon, request: PruneRequest): AsyncGenerator<UsageRecord> {
  const gone = await builder.household.prune({
    ...NO_RULES,
    all: request.all,
    matches: compileFilters(request.filters),
    unusedForMs: Number(request.keepDurationNs / NS_PER_MS),
    reservedBytes: Number(request.keepBytes),
  });
  yield* gone.map(usageOf);
}

function usageOf(record: CacheRecord): UsageRecord {
  return {
    id: record.id,
    mutable: record.type !== "regular",
    inUse: record.isInUse,
    size: BigInt(record.sizeBytes),
    createdAt: timestampOfMs(record.createdMs),
    lastUsedAt: timestampOfMs(record.lastUsedMs),
    usageCount: record.usageCount,
    description: record.description,
    type: record.type,
    shared: record.isShared,
    parents: record.parents,
  };
}

type Matches = (record: CacheRecord) => boolean;

/**
 * The fields that filters know; undefined: the record has none, as it has none of other names. Source: moby/buildkit
 * cache/manager.go (adaptUsageInfo).
 */
const FIELDS: Readonly<Record<string, (record: CacheRecord) => string | undefined>> = {
  id: ({ id }) => id,
  parents: ({ parents }) => parents.join(";"),
  description: ({ description }) => description,
  type: ({ type }) => type,
  inuse: ({ isInUse }) => presence(isInUse),
  mutable: ({ type }) => presence(type !== "regular"),
  immutable: ({ type }) => presence(type === "regular"),
  shared: ({ isShared }) => presence(isShared),
  private: ({ isShared }) => presence(!isShared),
};

function presence(isSo: boolean): string | undefined {
  return isSo ? "" : undefined;
}

const OPERATORS: ReadonlySet<string> = new Set(["==", "!=", "~="]);

/** Filters in containerd's form, of which one has to match; one is a list of conditions, of which all have to. */
function compileFilters(filters: readonly string[]): Matches {
  const all = filters.filter((filter) => filter !== "").map((filter) => filter.split(",").map(compileCondition));
  return (record) => all.length === 0 || all.some((conditions) => conditions.every((matches) => matches(record)));
}

/** "type==regular", "id~=^ab", "type!=regular", "shared" */
function compileCondition(text: string): Matches {
  const [, name, operator, written = ""] = /^([A-Za-z][\w.-]*)(?:([=!~]+)(.*))?$/s.exec(text) ?? [];
  if (name === undefined) throw parseError(text, "a field is missing");
  const field = Object.hasOwn(FIELDS, name) ? FIELDS[name]! : () => undefined;
  const value = /^".*"$/s.test(written) ? written.slice(1, -1) : written;
  if (operator === undefined) return (record) => field(record) !== undefined;
  if (!OPERATORS.has(operator)) throw parseError(text, `unsupported operator "${operator}"`);
  if (operator !== "~=") return (record) => (field(record) === value) === (operator === "==");
  const matches = compilePattern(value);
  if (matches === undefined) throw parseError(text, "malformed pattern");
  return (record) => matches(field(record) ?? "");
}

function parseError(text: string, why: string): LighterError {
  return new LighterError("invalid", `filters: parse error: [${text}]: ${why}`);
}
