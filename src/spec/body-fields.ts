/**
 * The fields of a request's body, described by tables and read by Go's rules: names match in any case, `null` counts as absent,
 * and of a repeated name the last value counts, filled into an earlier object. Unknown fields are ignored, as Docker does. Known
 * fields that cannot be done are refused by name: a limit that is silently dropped is worse than an error.
 */
import { LighterError } from "../base/errors.ts";
import { int64Number } from "../base/int64.ts";
import { Decimal, Repeated } from "./go-json.ts";

/** The form that a field's JSON must have. `command`: a list of strings or, as Go accepts, one string. */
type Shape =
  | "string"
  | "boolean"
  | "integer"
  | "strings"
  | "command"
  | "stringMap"
  | "listsOfStrings"
  /** An object whose values are empty objects. */
  | "set"
  /** Anything: for fields that are refused unless empty. */
  | "any"
  | { object: Fields }
  | { list: Fields }
  /** An object with any names, each with a value of this shape; `null` counts as an empty one. */
  | { map: Shape };

/**
 * What happens to a field.
 * handled: it is used, or checked and then used. informative: it is kept for `inspect`; it changes nothing in Docker on Linux
 * either.
 * refused: Lighter cannot do it (yet), so a value other than the empty one is an error that names the field.
 */
type Fate = "handled" | "informative" | "refused";

export interface Field {
  shape: Shape;
  fate: Fate;
  /** The reason why a field is refused, as a sentence. */
  why?: string;
}

export type Fields = Readonly<Record<string, Field>>;

export const handled = (shape: Shape): Field => ({ shape, fate: "handled" });
export const informative = (shape: Shape): Field => ({ shape, fate: "informative" });
export const refused = (why: string): Field => ({ shape: "any", fate: "refused", why });

/**
 * Reads a body whose fields are the table's; `null` is a body without fields, as in Go.
 * @throws LighterError "invalid" for a wrong shape, "not-supported" for a refused field that has a value
 */
export function parseBody(body: unknown, fields: Fields): Record<string, unknown> {
  if (body === null || body === undefined) return {};
  if (!isObject(body)) throw wrongShape("the body", "an object", body);
  return parseFields("", body, fields);
}

/** Reads an object's fields. `parsed` is what an earlier value of the same name has given. */
function parseFields(
  prefix: string,
  value: Record<string, unknown>,
  fields: Fields,
  parsed: Record<string, unknown> = {},
): Record<string, unknown> {
  for (const [key, given] of Object.entries(value)) {
    const name = Object.hasOwn(fields, key) ? key : namesOf(fields).get(key.toLowerCase());
    if (name === undefined) continue;
    const { shape, fate, why = "" } = fields[name]!;
    const path = prefix === "" ? name : `${prefix}.${name}`;
    for (const each of given instanceof Repeated ? given.values : [given]) {
      if (each === null || each === undefined) {
        if (typeof parsed[name] === "object") delete parsed[name]; // other types have no "none" in Go
      } else if (fate !== "refused") parsed[name] = parseShape(path, each, shape, parsed[name]);
      else if (!isEmpty(each)) throw new LighterError("not-supported", `${path}: not supported: ${why}`);
    }
  }
  return parsed;
}

const lowerCaseNames = new WeakMap<Fields, Map<string, string>>();

function namesOf(fields: Fields): Map<string, string> {
  let names = lowerCaseNames.get(fields);
  if (names === undefined) {
    names = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
    lowerCaseNames.set(fields, names);
  }
  return names;
}

function parseShape(path: string, value: unknown, shape: Shape, earlier: unknown): unknown {
  switch (shape) {
    case "string":
      return parseString(path, value);
    case "boolean":
      if (typeof value !== "boolean") throw wrongShape(path, "true or false", value);
      return value;
    case "integer":
      return parseInteger(path, value);
    case "command":
      return typeof value === "string" ? [parseString(path, value)] : parseStrings(path, value);
    case "strings":
      return parseStrings(path, value);
    case "listsOfStrings":
      if (!Array.isArray(value)) throw wrongShape(path, "a list of lists of strings", value);
      return value.map((each: unknown, index) => parseStrings(`${path}[${index}]`, each ?? []));
    case "stringMap":
      return { ...(earlier as object), ...parseMap(path, value, "an object of strings", parseText) };
    case "set":
      return { ...(earlier as object), ...parseMap(path, value, "an object", () => ({})) };
    case "any":
      return value;
  }
  if ("object" in shape) {
    if (!isObject(value)) throw wrongShape(path, "an object", value);
    return parseFields(path, value, shape.object, earlier as Record<string, unknown> | undefined);
  }
  if ("map" in shape) {
    const empty = typeof shape.map === "object" && "list" in shape.map ? [] : {};
    const parse = (itemPath: string, item: unknown) => parseShape(itemPath, item ?? empty, shape.map, undefined);
    return { ...(earlier as object), ...parseMap(path, value, "an object", parse) };
  }
  if (!Array.isArray(value)) throw wrongShape(path, "a list", value);
  return value.map((each: unknown, index) => {
    if (!isObject(each ?? {})) throw wrongShape(`${path}[${index}]`, "an object", each);
    return parseFields(`${path}[${index}]`, (each ?? {}) as Record<string, unknown>, shape.list);
  });
}

const parseText = (path: string, value: unknown) => parseString(path, value ?? "");

function parseMap(
  path: string,
  value: unknown,
  expected: string,
  parse: (path: string, value: unknown) => unknown,
): Record<string, unknown> {
  if (!isObject(value)) throw wrongShape(path, expected, value);
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      parseString(path, key),
      parse(`${path}.${key}`, each instanceof Repeated ? each.values.at(-1) : each),
    ]),
  );
}

function parseStrings(path: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw wrongShape(path, "a list of strings", value);
  return value.map((each: unknown, index) => parseString(`${path}[${index}]`, each ?? ""));
}

/** Reads an integer. Beyond 2^53 it is the nearest number: no field needs more, and the largest values mean "no limit". */
function parseInteger(path: string, value: unknown): number {
  const integer = Number.isInteger(value) ? BigInt(value as number) : value;
  if (typeof integer !== "bigint") throw wrongShape(path, "an integer", value);
  const number = int64Number(integer);
  if (number === undefined) throw new LighterError("invalid", `${path}: ${value} is out of range`);
  return number;
}

/** Reads a string, refusing a NUL: in the kernel the string would end there, after every check saw the whole. */
function parseString(path: string, value: unknown): string {
  if (typeof value !== "string") throw wrongShape(path, "a string", value);
  if (value.includes("\0")) throw new LighterError("invalid", `${path}: has a NUL character`);
  return value;
}

/** Whether a value is one of Go's zero values, which clients send for "not given". */
function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isObject(value)) return Object.values(value).every(isEmpty);
  return value === null || value === undefined || value === "" || value === 0 || value === false;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Decimal);
}

function wrongShape(path: string, expected: string, value: unknown): LighterError {
  return new LighterError("invalid", `${path}: must be ${expected}, is ${nameOf(value)}`);
}

function nameOf(value: unknown): string {
  if (value instanceof Decimal) return value.text;
  if (Array.isArray(value)) return "a list";
  return typeof value === "number" || typeof value === "bigint" ? `${value}` : typeof value;
}
