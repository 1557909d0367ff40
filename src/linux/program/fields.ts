/**
 * The kinds of fields that ops have (op.ts). A kind says which arguments a field becomes in a program's bytes, what the launcher
 * accepts there, and how a listing shows it; the TypeScript type of its value follows from it.
 */
import type { FlagTable, NumberForm } from "./calls.ts";

export type Slot = string;

/** A struct that ops change while the program plays. Its identity matters: the same object is the same bytes. */
export interface SharedData {
  name: string;
  data: Uint8Array;
  pointers?: readonly { at: number; to: Uint8Array }[];
}

/** Four bytes of a shared struct. */
export interface Place {
  shared: SharedData;
  at: number;
}

/** A value in TypeScript, the number that stands for it in an argument, and its text in a listing. */
type Choice = readonly [value: string | boolean, number: number, shown: string];

type FieldKind =
  | { is: "number"; show: NumberForm | "capabilities" }
  /** A slot's value; a field that may be left out says in `absent` which number is passed then. */
  | { is: "slot"; absent?: number }
  /** A slot that the op sets in addition to `out`. */
  | { is: "newSlot" }
  /** A NUL-terminated string. */
  | { is: "text"; quoted: boolean }
  /** A string's bytes and their count. */
  | { is: "bytes" }
  /** A NULL-terminated vector of strings: one of these paths, or the arguments of a program. */
  | { is: "vector"; of: "paths" | "words" }
  | { is: "choice"; among: readonly Choice[] }
  /** A struct that other ops may store into, and its length. */
  | { is: "messages" }
  | { is: "place" }
  /** The slot that gets the op's result. It takes up no argument, since every op has room for it. */
  | { is: "out" };

declare const valueType: unique symbol;
/** A field whose value has type T. If T includes undefined, the field may be left out. */
export type Field<T> = FieldKind & { readonly [valueType]?: (value: T) => T };

export type AnyField = FieldKind & { readonly [valueType]?: unknown };

type ValueOf<F> = F extends { readonly [valueType]?: (value: infer T) => unknown } ? T : never;
type Optional<F> = { [K in keyof F]: undefined extends ValueOf<F[K]> ? K : never }[keyof F];

/** The object that a row of fields describes. */
export type Values<F> = { [K in Exclude<keyof F, Optional<F>>]: ValueOf<F[K]> } & {
  [K in Optional<F>]?: Exclude<ValueOf<F[K]>, undefined>;
};

export const decimal: Field<number> = { is: "number", show: "decimal" };
export const hex: Field<number> = { is: "number", show: "hex" };
export const capabilities: Field<bigint> = { is: "number", show: "capabilities" };
export const slot: Field<Slot> = { is: "slot" };
export const optionalSlot: Field<Slot | undefined> = { is: "slot", absent: -1 };
export const newSlot: Field<Slot> = { is: "newSlot" };
export const plain: Field<string> = { is: "text", quoted: false };
export const quoted: Field<string> = { is: "text", quoted: true };
export const bytes: Field<string> = { is: "bytes" };
export const paths: Field<readonly string[]> = { is: "vector", of: "paths" };
export const words: Field<readonly string[]> = { is: "vector", of: "words" };
export const messages: Field<SharedData> = { is: "messages" };
export const place: Field<Place> = { is: "place" };
export const out: Field<Slot> = { is: "out" };
export const optionalOut: Field<Slot | undefined> = { is: "out" };

export function flags(table: FlagTable): Field<number> {
  return { is: "number", show: table };
}

export function slotOr(absent: number): Field<Slot | null> {
  return { is: "slot", absent };
}

/** A field that is one of some names; a listing shows the name. */
export function choice<T extends string>(numbers: Readonly<Record<T, number>>): Field<T> {
  return { is: "choice", among: Object.entries<number>(numbers).map(([name, number]) => [name, number, name]) };
}

/** A boolean field: its two texts in a listing, and the two numbers that stand for it, 0 and 1 by default. */
export function either(no: string, yes: string, numbers: readonly [number, number] = [0, 1]): Field<boolean> {
  const among: Choice[] = [
    [false, numbers[0], no],
    [true, numbers[1], yes],
  ];
  return { is: "choice", among };
}
