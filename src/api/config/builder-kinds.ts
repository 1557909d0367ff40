/** The kind of the setting `builder`: what the cache of builds may keep. Source: moby daemon/config/builder.go. */
import { DAEMON_LIST_MAX } from "../../base/limits.ts";
import { compileCacheFilters, DEFAULT_GC, type GcSettings, NO_RULES, type PruneRules } from "../../engine/mod.ts";
import { parseExactJson } from "../../spec/json.ts";
import { anything, boolean, list, map, object, type Reader, string } from "../../spec/reader.ts";
import { bytes, type Kind } from "./kinds.ts";

interface Rule {
  all: boolean;
  keepStorage: number;
  reservedSpace: number;
  maxUsedSpace: number;
  minFreeSpace: number;
  filter: object | null;
}

interface Gc {
  enabled: boolean;
  defaultKeepStorage: number;
  defaultReservedSpace: number;
  policy: Rule[];
}

const size: Reader<number> = (value, path) => (value === "" ? 0 : bytes.read(value, path));
const rule = object<Rule>({
  all: boolean,
  keepStorage: size,
  reservedSpace: size,
  maxUsedSpace: size,
  minFreeSpace: size,
  filter: anything as Reader<object>,
});
const gc = object<Gc>({
  enabled: boolean,
  defaultKeepStorage: size,
  defaultReservedSpace: size,
  policy: list(rule, DAEMON_LIST_MAX),
});
const whole = object<{ gc: Gc; entitlements: object }>({ gc, entitlements: anything as Reader<object> });

/** Reads filters as `["unused-for=48h"]` or as `{"unused-for": ["48h"]}`. */
function readFilters(value: unknown, path: string): Map<string, string[]> {
  if (value === undefined || value === null) return new Map();
  if (!Array.isArray(value))
    return new Map(Object.entries(map(list(string, DAEMON_LIST_MAX), DAEMON_LIST_MAX)(value, path)));
  const filters = new Map<string, string[]>();
  for (const text of list(string, DAEMON_LIST_MAX)(value, path)) {
    const at = text.indexOf("=");
    const [name, wanted] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    filters.set(name, [...(filters.get(name) ?? []), wanted]);
  }
  return filters;
}

function rulesOf(given: Partial<Rule>, path: string): PruneRules {
  const { all = false, keepStorage = 0, reservedSpace = keepStorage, maxUsedSpace = 0, minFreeSpace = 0 } = given;
  const filters = readFilters(given.filter, `${path}.filter`);
  return {
    ...NO_RULES,
    ...compileCacheFilters((name) => filters.get(name)),
    ...{ all, reservedBytes: reservedSpace, maxUsedBytes: maxUsedSpace, minFreeBytes: minFreeSpace },
  };
}

function read(value: unknown, path: string): GcSettings {
  const { gc: given = {} } = whole(value, path) as { gc?: Partial<Gc> };
  const reservedBytes = given.defaultReservedSpace ?? given.defaultKeepStorage;
  return {
    enabled: given.enabled ?? DEFAULT_GC.enabled,
    reservedBytes: reservedBytes === 0 ? undefined : reservedBytes,
    policy: given.policy?.map((each, index) => rulesOf(each, `${path}.gc.policy[${index}]`)),
  };
}

export const builder: Kind<GcSettings> = {
  value: "JSON",
  read,
  parse(texts, name) {
    return read(parseExactJson(texts.at(-1) ?? "", name), name);
  },
};
