import { expect, test } from "bun:test";
import { type CacheRecord, choosePruned, NO_RULES, type PruneRules } from "./cache-prune.ts";

const HOUR = 3_600_000;
const NOW = 1000 * HOUR;

function record(id: string, more: Partial<CacheRecord> = {}): CacheRecord {
  return {
    ...{ id, type: "regular", description: id, parents: [], sizeBytes: 10, isInUse: false, isShared: false },
    ...{ createdMs: NOW, lastUsedMs: NOW, usageCount: 1, ...more },
  };
}

const pruned = (records: CacheRecord[], rules: Partial<PruneRules> = {}, freeBytes = 0) =>
  choosePruned(records, { ...NO_RULES, ...rules }, { nowMs: NOW, freeBytes }).map(({ id }) => id);

test("choosePruned takes the oldest first, and what others are made of after these", () => {
  const records = [
    record("base", { lastUsedMs: NOW - 9 * HOUR }),
    record("top", { parents: ["base"], lastUsedMs: NOW - HOUR }),
    record("other", { lastUsedMs: NOW - 2 * HOUR }),
  ];
  expect(pruned(records)).toEqual(["other", "top", "base"]);
});

test("choosePruned leaves what is in use, with all that it is made of, and what images share unless all is asked for", () => {
  const records = [
    record("base"),
    record("used", { parents: ["base"], isInUse: true }),
    record("shared", { isShared: true }),
    record("free"),
  ];
  expect(pruned(records)).toEqual(["free"]);
  expect(pruned(records, { all: true }).sort()).toEqual(["free", "shared"]);
});

test("choosePruned follows filters, ages and limits", () => {
  const records = [1, 2, 3, 4].map((age) => record(`${age}h`, { lastUsedMs: NOW - age * HOUR }));
  expect(pruned(records, { unusedForMs: 3 * HOUR })).toEqual(["4h", "3h"]);
  expect(pruned(records, { matches: ({ id }) => id === "2h" })).toEqual(["2h"]);
  expect(pruned(records, { reservedBytes: 25 })).toEqual(["4h", "3h"]);
  expect(pruned(records, { maxUsedBytes: 30 })).toEqual(["4h"]);
  expect(pruned(records, { minFreeBytes: 100 }, 85)).toEqual(["4h", "3h"]);
  expect(pruned(records, { minFreeBytes: 100, reservedBytes: 30 }, 0)).toEqual(["4h"]);
  expect(pruned(records, { minFreeBytes: 100 }, 100)).toEqual([]);
});
