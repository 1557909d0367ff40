/**
 * Readers of parsed JSON. Each checks a value's type and limits and returns the value, or throws an error that names its path. As
 * with Go's decoder in other runtimes, null counts as absent, unknown fields are left out, and case matters only between two
 * fields that differ in nothing else.
 */
import { LighterError } from "../base/errors.ts";
import { OCI_LIST_MAX } from "../base/limits.ts";
import { parseExactJson } from "./json.ts";

export type Reader<T> = (value: unknown, path: string) => T;

/**
 * Reads a document.
 * @throws LighterError ("invalid") beginning with `where`, its name for people, and naming the field.
 */
export function readDocument<T>(read: Reader<T>, json: string, where: string): T {
  const document = parseExactJson(json, where);
  try {
    return read(document, "");
  } catch (error) {
    if (error instanceof LighterError) throw new LighterError(error.code, `${where}: ${error.message}`, error.detail);
    throw error;
  }
}

function refuse(path: string, problem: string): never {
  throw new LighterError("invalid", `${path} ${problem}`);
}

/** A string without NUL, which would end it early in the kernel. */
export const string: Reader<string> = (value, path) => {
  if (typeof value !== "string") refuse(path, "is not a string");
  if (value.includes("\0")) refuse(path, "holds a NUL character");
  return value;
};

export const boolean: Reader<boolean> = (value, path) =>
  typeof value === "boolean" ? value : refuse(path, "is not a boolean");

export function integer(min: number, max: number): Reader<number> {
  return (value, path) => {
    if (!Number.isInteger(value)) refuse(path, "is not an integer");
    const number = value as number;
    return number >= min && number <= max ? number : refuse(path, `is ${number}, not in ${min}…${max}`);
  };
}

export const int32 = integer(-(2 ** 31), 2 ** 31 - 1);
export const uint16 = integer(0, 2 ** 16 - 1);
export const uint32 = integer(0, 2 ** 32 - 1);

/** An integer that is exact beyond 2^53, where it is a bigint. */
function wide(min: bigint, max: bigint, name: string): Reader<number | bigint> {
  return (value, path) => {
    const exact = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!exact) refuse(path, `is not ${name}`);
    const number = value as number | bigint;
    return number >= min && number <= max ? number : refuse(path, `is ${number}, which is not ${name}`);
  };
}

export const int64 = wide(-(2n ** 63n), 2n ** 63n - 1n, "a 64-bit integer");
export const uint64 = wide(0n, 2n ** 64n - 1n, "an unsigned 64-bit integer");

export function oneOf<const T extends string>(...choices: readonly T[]): Reader<T> {
  return (value, path) => {
    if (typeof value !== "string") refuse(path, "is not a string");
    return choices.find((choice) => choice === value) ?? refuse(path, `is ${JSON.stringify(value)}`);
  };
}

export function list<T>(read: Reader<T>, max = OCI_LIST_MAX): Reader<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) refuse(path, "is not a list");
    if (value.length > max) refuse(path, `has ${value.length} entries, more than ${max}`);
    const items: T[] = [];
    for (let index = 0; index < value.length; index++) items.push(readItem(read, value[index], path, index));
    return items;
  };
}

/** Reads an item. Its path is made only for an error: a filter names hundreds of system calls. */
function readItem<T>(read: Reader<T>, item: unknown, path: string, index: number): T {
  try {
    return read(item, path);
  } catch {
    return read(item, `${path}[${index}]`);
  }
}

export function map<T>(read: Reader<T>, max = OCI_LIST_MAX): Reader<Record<string, T>> {
  return (value, path) => {
    const entries = Object.entries(objectOf(value, path));
    if (entries.length > max) refuse(path, `has ${entries.length} entries, more than ${max}`);
    return Object.fromEntries(
      entries.map(([key, item]) => {
        const itemPath = `${path}[${JSON.stringify(key)}]`;
        return [string(key, itemPath), read(item, itemPath)];
      }),
    );
  };
}

/** Accepts any value, which is checked elsewhere. */
export const anything: Reader<unknown> = (value) => value;

type FieldReaders<T> = { [K in keyof T]-?: Reader<NonNullable<T[K]>> };

/**
 * Reads an object by a reader for every field of the type, so that a new field cannot be forgotten here. `defaults` are Go's zero
 * values, for fields that the type requires and documents leave out; other required fields are in `required`.
 */
export function object<T extends object>(
  fields: FieldReaders<T>,
  { defaults = {}, required = [] }: { defaults?: Partial<T>; required?: readonly (keyof T & string)[] } = {},
): Reader<T> {
  const readers = new Map(Object.entries(fields) as [string, Reader<unknown>][]);
  const spellings = new Map([...readers.keys()].map((key) => [key.toLowerCase(), key]));
  return (value, path) => {
    const given = objectOf(value, path);
    const result: Record<string, unknown> = { ...defaults };
    for (const key of Object.keys(given)) {
      const known = readers.has(key) ? key : spellings.get(key.toLowerCase());
      if (known === undefined || (known !== key && Object.hasOwn(given, known))) continue;
      const field = given[key];
      if (field !== undefined && field !== null) result[known] = readField(readers.get(known)!, field, path, known);
    }
    for (const key of required) if (result[key] === undefined) refuse(join(path, key), "is missing");
    return result as T;
  };
}

/** Reads a field. Its path is made only for an error. */
function readField(read: Reader<unknown>, field: unknown, path: string, key: string): unknown {
  try {
    return read(field, path);
  } catch {
    return read(field, join(path, key));
  }
}

function objectOf(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    refuse(path || "the document", "is not an object");
  return value as Record<string, unknown>;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
