/** Kinds of settings: each reads its value from daemon.json and from the texts of a flag. Errors name the setting. */
import { LighterError } from "../../base/errors.ts";
import { DAEMON_LIST_MAX } from "../../base/limits.ts";
import { anything, boolean, integer, list, map, object, type Reader, string } from "../../spec/reader.ts";

export interface Kind<T> {
  /** The value's name in the help; a flag without one is a switch. */
  value?: string;
  /** Whether the flag may be given more than once. */
  isMany?: boolean;
  read: Reader<T>;
  /** Parses `texts`, one for each time the flag was given. Error messages begin with `name`. @throws LighterError "invalid" */
  parse(texts: readonly string[], name: string): T;
}

export function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

const last = (texts: readonly string[]) => texts.at(-1) ?? "";

export const text = (value: string): Kind<string> => ({ value, read: string, parse: last });

/** A boolean as Go's strconv.ParseBool reads it, which pflag uses for "--debug=0". */
export const flag: Kind<boolean> = {
  read: boolean,
  parse(texts, name) {
    const given = last(texts);
    if (["", "1", "t", "T", "true", "TRUE", "True"].includes(given)) return true;
    if (["0", "f", "F", "false", "FALSE", "False"].includes(given)) return false;
    throw invalid(`${name} is ${JSON.stringify(given)}, neither true nor false`);
  },
};

export const number = (value: string): Kind<number> => ({
  value,
  read: integer(-(2 ** 31), 2 ** 31 - 1),
  parse(texts, name) {
    if (!/^-?\d{1,9}$/.test(last(texts))) throw invalid(`${name} is ${JSON.stringify(last(texts))}, not an integer`);
    return Number(last(texts));
  },
});

export const texts = (value: string): Kind<string[]> => ({
  value,
  isMany: true,
  read: list(string, DAEMON_LIST_MAX),
  parse: (given) => [...given],
});

/** Splits "name=value", the form of a flag that may be given once for each name. */
export function splitPair(given: string, name: string): [string, string] {
  const at = given.indexOf("=");
  if (at < 1) throw invalid(`${name} is ${JSON.stringify(given)}, not of the form NAME=VALUE`);
  return [given.slice(0, at), given.slice(at + 1)];
}

export const pairs: Kind<Record<string, string>> = {
  value: "NAME=VALUE",
  isMany: true,
  read: map(string, DAEMON_LIST_MAX),
  parse: (given, name) => Object.fromEntries(given.map((each) => splitPair(each, name))),
};

export const switches: Kind<Record<string, boolean>> = {
  value: "NAME[=BOOLEAN]",
  isMany: true,
  read: map(boolean, DAEMON_LIST_MAX),
  parse: (given, name) =>
    Object.fromEntries(
      given.map((each) => {
        const [key, value] = each.includes("=") ? splitPair(each, name) : [each, "true"];
        return [key, flag.parse([value], `${name} ${key}`)];
      }),
    ),
};

/** Parses a size such as "64m" in powers of 1024, as Docker does for memory. Source: go-units, RAMInBytes. */
function parseBytes(given: string, name: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(given);
  if (match === null) throw invalid(`${name}: invalid size: '${given}'`);
  const bytes = Math.floor(Number(match[1]) * 1024 ** ["", "k", "m", "g", "t", "p"].indexOf(match[2]!.toLowerCase()));
  if (!Number.isSafeInteger(bytes)) throw invalid(`${name}: invalid size: '${given}'`);
  return bytes;
}

export const bytes: Kind<number> = {
  value: "BYTES",
  read: (value, path) =>
    typeof value === "string" ? parseBytes(value, path) : integer(0, Number.MAX_SAFE_INTEGER)(value, path),
  parse: (given, name) => parseBytes(last(given), name),
};

export interface Ulimit {
  Name: string;
  Soft: number;
  Hard: number;
}

const limit = integer(-1, Number.MAX_SAFE_INTEGER);
const readUlimits = map(object<Ulimit>({ Name: string, Soft: limit, Hard: limit }, { required: ["Soft", "Hard"] }), 64);

/**
 * Limits as `{"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}`, or as the flag "nofile=1:2"; a single number is both limits.
 */
export const ulimits: Kind<Ulimit[]> = {
  value: "TYPE=SOFT[:HARD]",
  isMany: true,
  read: (value, path) =>
    Object.entries(readUlimits(value, path)).map(([key, given]) => {
      if (given.Name !== undefined && given.Name !== key)
        throw invalid(`${path}[${JSON.stringify(key)}].Name is ${JSON.stringify(given.Name)}`);
      return { ...given, Name: key };
    }),
  parse: (given, name) =>
    given.map((each) => {
      const [type, limits] = splitPair(each, name);
      const [, soft, hard = soft] = /^(-1|\d{1,15})(?::(-1|\d{1,15}))?$/.exec(limits) ?? [];
      if (soft === undefined) throw invalid(`${name} is ${JSON.stringify(each)}, not of the form TYPE=SOFT[:HARD]`);
      return { Name: type, Soft: Number(soft), Hard: Number(hard) };
    }),
};

/** The kind of a refused setting, whose value is only compared with the one that asks for nothing. */
export const unread = (value?: string): Kind<unknown> => ({
  ...(value === undefined ? {} : { value, isMany: true }),
  read: anything,
  parse: (given, name) => (value === undefined ? flag.parse(given, name) : given.length === 1 ? given[0] : [...given]),
});
