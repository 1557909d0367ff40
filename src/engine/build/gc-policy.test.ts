import { expect, test } from "bun:test";
import { compileCacheFilters } from "./cache-filters.ts";
import { type CacheRecord, NO_RULES } from "./cache-prune.ts";
import { DEFAULT_GC, gcRules } from "./gc-policy.ts";

const record: CacheRecord = {
  ...{ id: "abc", type: "regular", description: "RUN x", parents: ["p", "q"], sizeBytes: 1, isInUse: false },
  ...{ isShared: true, createdMs: 0, lastUsedMs: 0, usageCount: 1 },
};

test("gcRules keeps a tenth of the disk, unless the settings say otherwise", () => {
  const rules = gcRules(DEFAULT_GC, 105 * 2 ** 30);
  expect(rules.map(({ all, unusedForMs, reservedBytes }) => [all, unusedForMs / 3_600_000, reservedBytes])).toEqual([
    [false, 48, 512e6],
    [false, 1440, 11e9],
    [false, 0, 11e9],
    [true, 0, 11e9],
  ]);
  expect(rules[0]!.matches(record)).toBe(false);
  expect(rules[0]!.matches({ ...record, type: "exec.cachemount" })).toBe(true);
  expect(gcRules({ ...DEFAULT_GC, reservedBytes: 5 }, 0)[2]!.reservedBytes).toBe(5);
  const policy = [{ ...NO_RULES, reservedBytes: 7 }];
  expect(gcRules({ ...DEFAULT_GC, policy }, 0)).toEqual(policy);
  expect(gcRules({ ...DEFAULT_GC, enabled: false }, 0)).toEqual([]);
});

const compiled = (filters: Record<string, string[]>) => compileCacheFilters((name) => filters[name]);
const matches = (filters: Record<string, string[]>) => compiled(filters).matches(record);

test("compileCacheFilters has Docker's filters, each with one value", () => {
  for (const filters of [
    { id: ["^ab"] },
    { parent: ["q"] },
    { parents: ["p;q"] },
    { type: ["regular"], description: ["RUN x"] },
    { shared: [""], inuse: ["false"], unknown: ["x"] },
  ])
    expect(matches(filters as unknown as Record<string, string[]>), JSON.stringify(filters)).toBe(true);
  for (const filters of [
    { id: ["^b"] },
    { parent: ["x"] },
    { type: ["source.local"] },
    { private: [""] },
    { inuse: ["1"] },
  ])
    expect(matches(filters as unknown as Record<string, string[]>), JSON.stringify(filters)).toBe(false);
  expect(compiled({ until: ["24h"] }).unusedForMs).toBe(86_400_000);
  expect(compiled({ "unused-for": ["1m"] }).unusedForMs).toBe(60_000);
  expect(() => compiled({ until: ["1h"], "unused-for": ["1h"] })).toThrow("conflicting filters");
  expect(() => compiled({ until: ["yesterday"] })).toThrow(`"until" filter expects a duration (e.g., '24h')`);
  expect(() => compiled({ type: ["a", "b"] })).toThrow("filters expect only one value: type");
  expect(() => compiled({ id: ["("] })).toThrow("malformed pattern");
});
