/** Behaviour of Go that shows in the command line: how values of flags are parsed, quoted and refused. */
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { int64Number } from "../../base/int64.ts";
import { formatJson } from "../../spec/json.ts";

/**
 * Parses a boolean.
 * @throws Error with strconv's text
 */
export function parseGoBool(text: string): boolean {
  const value = parseGoBoolean(text);
  if (value !== undefined) return value;
  throw new Error(`strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
}

/**
 * Parses an integer in the notations that Go accepts with base 0: 10, 0x1f, 0o17, 017, 0b1, 1_000. Returns an exact
 * bigint.
 */
function parseGoBigInt(text: string, signed: boolean): bigint | undefined {
  const match = /^([+-]?)(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)$/.exec(text);
  if (match === null || (match[1] !== "" && !signed)) return undefined;
  const digits = (match[2] ?? "").replaceAll("_", "").toLowerCase();
  const octal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const value = BigInt(octal);
  return match[1] === "-" ? -value : value;
}

/**
 * Parses an integer; beyond 2^53 it is rounded to the nearest number.
 * @throws Error with strconv's text
 */
export function parseGoInt(text: string, bits = 64): number {
  const value = parseGoBigInt(text, true);
  if (value === undefined) throw new Error(`strconv.ParseInt: parsing ${goQuote(text)}: invalid syntax`);
  const number = value === BigInt.asIntN(bits, value) ? int64Number(value) : undefined;
  if (number === undefined) throw new Error(`strconv.ParseInt: parsing ${goQuote(text)}: value out of range`);
  return number;
}

/**
 * Parses an unsigned integer.
 * @throws Error with strconv's text
 */
export function parseGoUint(text: string, bits = 64): number {
  const value = parseGoBigInt(text, false);
  if (value === undefined) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
  if (value !== BigInt.asUintN(bits, value) || !Number.isSafeInteger(Number(value)))
    throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
  return Number(value);
}

/**
 * Formats JSON as Go's encoding/json does. `escapeHtml` is the default of json.Marshal, which an Encoder can switch
 * off.
 */
export function goJson(value: unknown, escapeHtml = false): string {
  const json = (formatJson(value) ?? "null").replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  if (!escapeHtml) return json;
  return json.replaceAll("<", "\\u003c").replaceAll(">", "\\u003e").replaceAll("&", "\\u0026");
}
