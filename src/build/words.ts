/**
 * The words of a Dockerfile's instruction: split at white space outside of quotes, with variables and quotes resolved.
 * Sources: Dockerfile reference, "Environment replacement"; what Docker 26.1 makes of `commit --change`.
 */
import { LighterError } from "../base/errors.ts";
import { EXPANDED_MAX_CHARS, SUBSTITUTED_MAX_CHARS, SUBSTITUTIONS_MAX_DEPTH } from "../base/limits.ts";

const ESCAPE = "\\";

function isSpace(char: string): boolean {
  return /^[\t\n\v\f\r \u0085\u00a0]$/.test(char);
}

/** Splits into words, which keep their quotes and backslashes. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let isWord = false;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    let char = text[at]!;
    if (quote === "" && isSpace(char)) {
      if (isWord) words.push(word);
      [word, isWord] = ["", false];
      continue;
    }
    isWord = true;
    if (quote === "" && (char === "'" || char === '"')) quote = char;
    else if (char === quote) quote = "";
    else if (char === ESCAPE && quote !== "'") {
      if (at + 1 === text.length) break; // at the very end the escape stands for nothing
      word += char;
      char = text[++at]!;
    }
    word += char;
  }
  if (isWord && word !== "") words.push(word);
  return words;
}

export type Variables = ReadonlyMap<string, string>;

/**
 * The word with its variables replaced and its quotes removed.
 * @throws LighterError ("invalid") with Docker's wording.
 */
export function expandWord(word: string, variables: Variables): string {
  try {
    return new Expansion(word, variables).all();
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    throw new LighterError("invalid", `failed to process ${JSON.stringify(word)}: ${error.message}`, { cause: error });
  }
}

/** Expands as `expandWord` does, but a variable outside of quotes may become several words, or none. */
export function expandWords(word: string, variables: Variables): string[] {
  return expandWord(word, variables)
    .split(/\s+/)
    .filter((part) => part !== "");
}

function failed(message: string): LighterError {
  return new LighterError("invalid", message);
}

class Expansion {
  readonly #text: string;
  readonly #variables: Variables;
  #at = 0;
  #depth = 0;

  constructor(text: string, variables: Variables) {
    this.#text = text;
    this.#variables = variables;
  }

  all(): string {
    return this.#until("");
  }

  get #isEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Expands up to `stop`, which is consumed, or to the end if `stop` is "". */
  #until(stop: string): string {
    let result = "";
    while (!this.#isEnd) {
      const char = this.#text[this.#at]!;
      if (char === stop) {
        this.#at++;
        return result;
      }
      if (result.length > EXPANDED_MAX_CHARS) throw failed(`more than ${EXPANDED_MAX_CHARS} characters`);
      if (char === "'") result += this.#singleQuoted();
      else if (char === '"') result += this.#doubleQuoted();
      else if (char === "$") result += this.#dollar();
      else if (char === ESCAPE) {
        // The escape stands for the character after it or, at the end, for itself.
        result += this.#text[this.#at + 1] ?? ESCAPE;
        this.#at += 2;
      } else {
        result += char;
        this.#at++;
      }
    }
    if (stop !== "") throw failed(`unexpected end of statement while looking for matching ${stop}`);
    return result;
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw failed("unexpected end of statement while looking for matching single-quote");
    const quoted = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return quoted;
  }

  #doubleQuoted(): string {
    let result = "";
    for (this.#at++; !this.#isEnd; ) {
      if (result.length > EXPANDED_MAX_CHARS) throw failed(`more than ${EXPANDED_MAX_CHARS} characters`);
      const char = this.#text[this.#at]!;
      if (char === '"') {
        this.#at++;
        return result;
      }
      if (char === "$") {
        result += this.#dollar();
        continue;
      }
      const next = this.#text[this.#at + 1];
      const isEscape = char === ESCAPE && (next === '"' || next === "$" || next === ESCAPE);
      result += isEscape ? next : char;
      this.#at += isEscape ? 2 : 1;
    }
    throw failed("unexpected end of statement while looking for matching double-quote");
  }

  #dollar(): string {
    this.#at++;
    if (this.#text[this.#at] === "{") return this.#braced();
    const name = this.#name();
    return name === "" ? "$" : (this.#variables.get(name) ?? "");
  }

  #name(): string {
    const match = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])/.exec(this.#text.slice(this.#at, this.#at + 4096));
    this.#at += match?.[0].length ?? 0;
    return match?.[0] ?? "";
  }

  /** Expands "${NAME}" and its modifiers, each with a word that is expanded as well. */
  #braced(): string {
    if (++this.#depth > SUBSTITUTIONS_MAX_DEPTH)
      throw failed(`more than ${SUBSTITUTIONS_MAX_DEPTH} substitutions within each other`);
    this.#at++;
    if (this.#text[this.#at] === "}") throw failed("bad substitution");
    const name = this.#name();
    if (this.#isEnd) throw failed("syntax error: missing '}'");
    const value = this.#variables.get(name);
    const result = this.#modified(name, value);
    this.#depth--;
    return result;
  }

  #modified(name: string, value: string | undefined): string {
    const char = this.#text[this.#at++]!;
    if (char === "}") return value ?? "";
    if (char === "#" || char === "%") return this.#trimmed(value ?? "", char);
    if (char === "/") return this.#replaced(value ?? "");
    const isColon = char === ":";
    const modifier = isColon ? (this.#text[this.#at++] ?? "") : char;
    if (!["+", "-", "?"].includes(modifier))
      throw failed(`unsupported modifier (${isColon ? `:${modifier}` : char}) in substitution`);
    const word = this.#until("}");
    const isSet = value !== undefined && !(isColon && value === "");
    if (modifier === "+") return isSet ? word : "";
    if (isSet) return value;
    if (modifier === "-") return word;
    throw failed(`${name}: ${word === "" ? "is not allowed to be unset" : word}`);
  }

  #trimmed(value: string, edge: "#" | "%"): string {
    const isGreedy = this.#text[this.#at] === edge;
    if (isGreedy) this.#at++;
    const pattern = this.#until("}");
    requireShort(value);
    for (let step = 0; step <= value.length; step++) {
      const length = isGreedy ? value.length - step : step;
      const part = edge === "#" ? value.slice(0, length) : value.slice(value.length - length);
      if (matchesShellPattern(pattern, part))
        return edge === "#" ? value.slice(length) : value.slice(0, value.length - length);
    }
    return value;
  }

  /** Replaces the longest match at the first place that has one; with "//", at all later places, too. */
  #replaced(value: string): string {
    const isAll = this.#text[this.#at] === "/";
    if (isAll) this.#at++;
    const pattern = this.#until("/");
    const replacement = this.#until("}");
    requireShort(value);
    let result = "";
    for (let at = 0; at < value.length; ) {
      let length = value.length - at;
      while (length > 0 && !matchesShellPattern(pattern, value.slice(at, at + length))) length--;
      if (length > 0 && !isAll) return result + replacement + value.slice(at + length);
      result += length > 0 ? replacement : value[at];
      at += length || 1;
    }
    return result;
  }
}

function requireShort(value: string): void {
  if (value.length > SUBSTITUTED_MAX_CHARS)
    throw failed(`a pattern for a value of more than ${SUBSTITUTED_MAX_CHARS} characters`);
}

/** Whether a text matches a pattern with "*" and "?". Takes time of at most the product of both lengths. */
function matchesShellPattern(pattern: string, text: string): boolean {
  let [p, t] = [0, 0];
  /** Where to go on if the last star stands for one more character. */
  let star: { p: number; t: number } | undefined;
  while (t < text.length) {
    if (pattern[p] === "*") star = { p: ++p, t };
    else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) [p, t] = [p + 1, t + 1];
    else if (star !== undefined) [p, t] = [star.p, ++star.t];
    else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
