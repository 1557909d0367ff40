/**
 * JSON.rawJSON and the source text that JSON.parse gives to a reviver, which the small engine lacks: without them 64-bit integers
 * would silently become rounded.
 */
import { toHex } from "./buffer.ts";
import { call } from "./host.ts";

type Reviver = (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown;

const nativeParse = JSON.parse;
const stringify = JSON.stringify;

/** The engine says InternalError where others throw a RangeError: a document that nests deeper than the stack allows. */
function parse(text: string, reviver?: (this: unknown, key: string, value: unknown) => unknown): unknown {
  try {
    return nativeParse(text, reviver);
  } catch (error) {
    throw (error as Error).name === "InternalError" ? new RangeError((error as Error).message) : error;
  }
}

let mark: string | undefined;

/** A text that no foreign document can contain: it is made anew by each process. */
function ownMark(): string {
  if (mark === undefined) {
    const bytes = new Uint8Array(16);
    call("getrandom", bytes, bytes.length, 0);
    mark = `integer-${toHex(bytes)}:`;
  }
  return mark;
}

/** A string, or an integer of 16 or more digits that is no part of another number. */
const STRING_OR_INTEGER = /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|-?\d{16,}(?![\d.eE])/g;

/** What stands in front of an integer's digits if they are the rest of another number, as in "0.1234567890123456" */
const isPartOfNumber = (before: string | undefined) => before !== undefined && /[\d.eE+-]/.test(before);

function markIntegers(text: string): string {
  return text.replace(STRING_OR_INTEGER, (found, at: number) =>
    found.startsWith('"') || isPartOfNumber(text[at - 1]) ? found : `"${ownMark()}${found}"`,
  );
}

/** A reviver of three arguments gets `{ source }` for long integers. */
JSON.parse = (text: string, reviver?: Reviver): unknown => {
  if (reviver === undefined || reviver.length < 3) return parse(text, reviver as never);
  parse(text); // an error has the text of the document as it is
  return parse(markIntegers(text), function revive(this: unknown, key: string, value: unknown): unknown {
    const source = typeof value === "string" && value.startsWith(ownMark()) ? value.slice(ownMark().length) : undefined;
    return source === undefined
      ? reviver.call(this, key, value, {})
      : reviver.call(this, key, Number(source), { source });
  });
};

let isRawUsed = false;

Object.assign(JSON, {
  /** Only for integers, which is what it is used for. */
  rawJSON(text: string): unknown {
    isRawUsed = true;
    return ownMark() + text;
  },
});

JSON.stringify = (value: unknown, replacer?: unknown, space?: string | number): string => {
  const before = isRawUsed;
  const text = stringify(value, replacer as never, space);
  if (!isRawUsed && !before) return text;
  return text?.replaceAll(new RegExp(`"${ownMark()}(-?\\d+)"`, "g"), "$1");
};
