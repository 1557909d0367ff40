/**
 * JSON of a request, read as Go's decoder reads it, with its error texts. Things that JSON.parse would lose are kept for the
 * reader of the fields (`body-fields.ts`): repeated names, integers beyond 2^53, and whether a number was written as an integer.
 * Source: Go's encoding/json, scanner.go and stream.go.
 */

import { LighterError } from "../base/errors.ts";
import { GO_ESCAPES } from "../base/go-escapes.ts";
import { API_BODY_MAX_DEPTH, API_BODY_MAX_VALUES } from "../base/limits.ts";

/** The values of a name that occurs several times in an object, in the order of the document. */
export class Repeated {
  constructor(readonly values: unknown[]) {}
}

/** A number with a fraction or an exponent: to Go it is no integer, whatever its value. */
export class Decimal {
  constructor(readonly text: string) {}
}

/**
 * Parses a document. Integers become numbers, or bigints where a number would round; other numbers become `Decimal`s.
 * @throws LighterError "invalid"
 */
export function parseGoJson(document: Buffer): unknown {
  return new Parser(document).document();
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Text up to a quote, an escape, or a character that must not be there. */
const PLAIN_TEXT = /[^"\\\0-\x1f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;

class Parser {
  readonly #bytes: Buffer;
  /** The document with one character per byte, which is how Go's errors count. */
  readonly #text: string;
  #at = 0;
  #values = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#text = bytes.toString("latin1");
  }

  document(): unknown {
    if (this.#peek() === "") throw wrong("got EOF while reading request body");
    const value = this.#value(0);
    // Go does not notice a closing bracket too many.
    if (!["", "]", "}"].includes(this.#peek())) throw new LighterError("invalid", "unexpected content after JSON");
    return value;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  /** The next character that is no space; "" at the end. */
  #peek(): string {
    for (;;) {
      const character = this.#text.charAt(this.#at);
      if (character !== " " && character !== "\n" && character !== "\t" && character !== "\r") return character;
      this.#at += 1;
    }
  }

  /** The error for the character here; `context` is in Go's words. */
  #unexpected(context: string): LighterError {
    const character = this.#text.charAt(this.#at);
    return wrong(character === "" ? "unexpected EOF" : `invalid character ${quote(character)} ${context}`);
  }

  #value(depth: number): unknown {
    this.#values += 1;
    if (this.#values > API_BODY_MAX_VALUES)
      throw wrong(`the body has more values than the limit of ${API_BODY_MAX_VALUES}`);
    const first = this.#peek();
    if (first === '"') return this.#string();
    if (first === "{" || first === "[") {
      if (depth >= API_BODY_MAX_DEPTH) throw this.#unexpected("exceeded max depth");
      this.#at += 1;
      return first === "{" ? this.#object(depth + 1) : this.#list(depth + 1);
    }
    if (first === "t") return this.#literal("true", true);
    if (first === "f") return this.#literal("false", false);
    if (first === "n") return this.#literal("null", null);
    if (first === "-" || (first >= "0" && first <= "9")) return this.#number();
    throw this.#unexpected("looking for beginning of value");
  }

  #object(depth: number): Record<string, unknown> {
    const fields = new Map<string, unknown>();
    if (this.#peek() !== "}")
      for (;;) {
        if (this.#peek() !== '"') throw this.#unexpected("looking for beginning of object key string");
        const name = this.#string();
        if (this.#peek() !== ":") throw this.#unexpected("after object key");
        this.#at += 1;
        const value = this.#value(depth);
        if (fields.has(name)) fields.set(name, repeat(fields, name, value));
        else fields.set(name, value);
        if (this.#peek() === "}") break;
        if (this.#peek() !== ",") throw this.#unexpected("after object key:value pair");
        this.#at += 1;
      }
    this.#at += 1;
    return Object.fromEntries(fields);
  }

  #list(depth: number): unknown[] {
    const items: unknown[] = [];
    if (this.#peek() !== "]")
      for (;;) {
        items.push(this.#value(depth));
        if (this.#peek() === "]") break;
        if (this.#peek() !== ",") throw this.#unexpected("after array element");
        this.#at += 1;
      }
    this.#at += 1;
    return items;
  }

  #literal<T>(word: string, value: T): T {
    for (const expected of word) {
      if (this.#text.charAt(this.#at) !== expected)
        throw this.#unexpected(`in literal ${word} (expecting '${expected}')`);
      this.#at += 1;
    }
    return value;
  }

  #number(): number | bigint | Decimal {
    const text = this.#take(NUMBER);
    const next = this.#text.charAt(this.#at);
    if (text === "") {
      this.#at += 1; // this was a minus alone
      throw this.#unexpected("in numeric literal");
    }
    if (next === "." && !/[.eE]/.test(text)) this.#misses(1, "after decimal point in numeric literal");
    if ((next === "e" || next === "E") && !/[eE]/.test(text)) {
      const sign = this.#text.charAt(this.#at + 1);
      this.#misses(sign === "+" || sign === "-" ? 2 : 1, "in exponent of numeric literal");
    }
    if (/[.eE]/.test(text)) return new Decimal(text);
    const number = Number(text) + 0; // Go has no negative zero among its integers
    return Number.isSafeInteger(number) ? number : BigInt(text);
  }

  /** Throws because a digit is missing, `distance` characters from here. */
  #misses(distance: number, context: string): never {
    this.#at += distance;
    throw this.#unexpected(context);
  }

  #string(): string {
    const begin = this.#at;
    this.#at += 1;
    let hasEscapes = false;
    for (;;) {
      this.#take(PLAIN_TEXT);
      const end = this.#text.charAt(this.#at);
      if (end === '"') break;
      if (end !== "\\") throw this.#unexpected("in string literal");
      hasEscapes = true;
      if (this.#take(ESCAPE) === "") throw this.#badEscape();
    }
    this.#at += 1;
    const text = this.#bytes.toString("utf8", begin + 1, this.#at - 1);
    return hasEscapes ? (JSON.parse(`"${text}"`) as string).toWellFormed() : text;
  }

  #badEscape(): LighterError {
    this.#at += 1;
    if (this.#text.charAt(this.#at) !== "u") return this.#unexpected("in string escape code");
    this.#at += 1;
    this.#take(/[\da-fA-F]*/y);
    return this.#unexpected("in \\u hexadecimal character escape");
  }
}

/** Removes the name, so that it comes after another spelling of it. */
function repeat(fields: Map<string, unknown>, name: string, value: unknown): Repeated {
  const known = fields.get(name);
  fields.delete(name);
  if (!(known instanceof Repeated)) return new Repeated([known, value]);
  known.values.push(value);
  return known;
}

function wrong(what: string): LighterError {
  return new LighterError("invalid", `invalid JSON: ${what}`);
}

/** Quotes a character as Go does in these errors. */
function quote(character: string): string {
  if (character === "'") return String.raw`'\''`;
  if (character === '"') return `'"'`;
  const short = GO_ESCAPES[character];
  if (short !== undefined) return `'${short}'`;
  const code = character.charCodeAt(0);
  if (code >= 0x20 && code < 0x7f) return `'${character}'`;
  // Go prints visible characters of the upper half, and others by number.
  if (code > 0xa0 && code !== 0xad) return `'${character}'`;
  return code < 0x80 ? `'\\x${code.toString(16).padStart(2, "0")}'` : `'\\u${code.toString(16).padStart(4, "0")}'`;
}
