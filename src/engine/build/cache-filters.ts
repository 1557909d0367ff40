/** Filters of what goes from the cache of builds, in requests and in the settings. Source: moby builder/builder-next. */
import { parseDurationIf } from "../../base/duration.ts";
import { LighterError } from "../../base/errors.ts";
import { compilePattern } from "../../base/linear-pattern.ts";
import { NS_PER_MS } from "../../base/time.ts";
import type { CacheRecord, PruneRules } from "./cache-prune.ts";

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

/** The names of filters that BuildKit has, with what each tests. */
const FIELDS: Readonly<Record<string, (value: string) => (record: CacheRecord) => boolean>> = {
  id: (value) => {
    const matches = compilePattern(value);
    if (matches === undefined) throw invalid(`invalid filter: id: malformed pattern ${JSON.stringify(value)}`);
    return ({ id }) => matches(id);
  },
  parent:
    (value) =>
    ({ parents }) =>
      parents.includes(value),
  parents:
    (value) =>
    ({ parents }) =>
      parents.join(";") === value,
  type:
    (value) =>
    ({ type }) =>
      type === value,
  description:
    (value) =>
    ({ description }) =>
      description === value,
  inuse: flag(({ isInUse }) => isInUse),
  shared: flag(({ isShared }) => isShared),
  private: flag(({ isShared }) => !isShared),
};

function flag(test: (record: CacheRecord) => boolean) {
  return (value: string) => {
    const isWanted = !["false", "0"].includes(value);
    return (record: CacheRecord) => test(record) === isWanted;
  };
}

/** Compiles filters, each of which may have one value; names that mean nothing here are left alone. @throws LighterError "invalid" */
export function compileCacheFilters(
  get: (name: string) => readonly string[] | undefined,
): Pick<PruneRules, "matches" | "unusedForMs"> {
  const tests = Object.entries(FIELDS).flatMap(([name, compile]) => {
    const value = onlyValue(name, get(name));
    return value === undefined ? [] : [compile(value)];
  });
  return { matches: (record) => tests.every((test) => test(record)), unusedForMs: parseAge(get) };
}

function onlyValue(name: string, values: readonly string[] = []): string | undefined {
  if (values.length > 1) throw invalid(`filters expect only one value: ${name}`);
  return values[0];
}

function parseAge(get: (name: string) => readonly string[] | undefined): number {
  if (get("until") !== undefined && get("unused-for") !== undefined)
    throw invalid('conflicting filters: "until" and "unused-for"');
  const name = get("unused-for") === undefined ? "until" : "unused-for";
  const text = onlyValue(name, get(name));
  if (text === undefined) return 0;
  const ns = parseDurationIf(text);
  if (ns === undefined) throw invalid(`"${name}" filter expects a duration (e.g., '24h')`);
  return Number(ns / NS_PER_MS);
}
