/**
 * Words of a Dockerfile's instruction: split at white space outside of quotes, and with variables and quotes taken away.
 * Sources: Dockerfile reference, "Environment replacement"; moby/buildkit frontend/dockerfile/shell (which quotes and
 * escapes count where); what Docker 26.1 makes of `commit --change`.
 */
import { LighterError } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { EXPANDED_MAX_CHARS, SUBSTITUTED_MAX_CHARS, SUBSTITUTIONS_MAX_DEPTH } from "../../base/limits.ts";
import { matchesShellPattern, parseShellPattern, type ShellPattern } from "./shell-pattern.ts";

const BACKSLASH = "\\";
const SPACE = /[\t\n\v\f\r \u0085\u00a0]/;

export function isSpace(char: string): boolean {
  return SPACE.test(char);
}

/** Words with their quotes and escapes still in them. */
export function splitWords(text: string, escapeChar = BACKSLASH): string[] {
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
    else if (char === escapeChar && quote !== "'") {
      if (at + 1 === text.length) break; // at the very end it stands for nothing
      word += char;
      char = text[++at]!;
    }
    word += char;
  }
  if (isWord && word !== "") words.push(word);
  return words;
}

export type Variables = ReadonlyMap<string, string>;

/** Names of variables that words have asked for: with a value, and without one. */
export interface AskedFor {
  found: Set<string>;
  missing: Set<string>;
}

interface ExpandOptions {
  /** The Dockerfile's. */
  escape?: string;
  /** Quotes stay in the result. */
  keepQuotes?: boolean;
  /** Escapes stay in the result. */
  keepEscapes?: boolean;
  /** Variables without a value stay as they are written. */
  keepUnset?: boolean;
  /** Quotes are characters like any other: in a heredoc. */
  plainQuotes?: boolean;
  asked?: AskedFor;
}

/**
 * The word with its variables' values, without its quotes.
 * @throws LighterError ("invalid") with Docker's wording.
 */
export function expandWord(word: string, variables: Variables, options: ExpandOptions = {}): string {
  return named(word, () => new Expansion(word, variables, options).all());
}

/** As `expandWord`; a variable outside of quotes may stand for several words, or for none. */
export function expandWords(word: string, variables: Variables, options: ExpandOptions = {}): string[] {
  return named(word, () => {
    const expansion = new Expansion(word, variables, options);
    expansion.all();
    return expansion.words;
  });
}

const SHOWN_MAX_CHARS = 1000;

function named<T>(word: string, expand: () => T): T {
  try {
    return expand();
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    const shown = goQuote(word.slice(0, SHOWN_MAX_CHARS));
    throw new LighterError("invalid", `failed to process ${shown}: ${error.message}`, { cause: error });
  }
}

function failed(message: string): LighterError {
  return new LighterError("invalid", message);
}

const NAME = /[0-9]+|[@*#?$!-]|[\p{L}_][\p{L}\p{Nd}_]*/uy;

class Expansion {
  readonly words: string[] = [];
  readonly #text: string;
  readonly #variables: Variables;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  #at = 0;
  #depth = 0;
  #word = "";

  constructor(text: string, variables: Variables, options: ExpandOptions) {
    this.#text = text;
    this.#variables = variables;
    this.#options = options;
    this.#escape = options.escape ?? BACKSLASH;
  }

  all(): string {
    const result = this.#until("", this.#options.keepEscapes === true, (part, mayBreak) =>
      this.#collect(part, mayBreak),
    );
    if (this.#word !== "") this.words.push(this.#word);
    return result;
  }

  #collect(part: string, mayBreak: boolean): void {
    if (!mayBreak) {
      this.#word += part;
      return;
    }
    for (const char of part)
      if (!isSpace(char)) this.#word += char;
      else if (this.#word !== "") {
        this.words.push(this.#word);
        this.#word = "";
      }
  }

  get #isEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Up to `stop`, which is taken too; "": to the end. */
  #until(stop: string, keepEscapes: boolean, collect?: (part: string, mayBreak: boolean) => void): string {
    let result = "";
    while (!this.#isEnd) {
      const char = this.#text[this.#at]!;
      if (char === stop) {
        this.#at++;
        return result;
      }
      if (result.length > EXPANDED_MAX_CHARS) throw failed(`more than ${EXPANDED_MAX_CHARS} characters`);
      const part = this.#part(char, keepEscapes);
      collect?.(part, char === "$" || (part === char && isSpace(char)));
      result += part;
    }
    if (stop !== "")
      throw failed(stop === "/" ? `syntax error: missing '/' in \${}` : `syntax error: missing '${stop}'`);
    return result;
  }

  #part(char: string, keepEscapes: boolean): string {
    const hasQuotes = this.#options.plainQuotes !== true;
    if (char === "'" && hasQuotes) return this.#singleQuoted();
    if (char === '"' && hasQuotes) return this.#doubleQuoted(keepEscapes);
    if (char === "$") return this.#dollar();
    this.#at++;
    if (char !== this.#escape) return char;
    // Before any character it stands for that one; at the end, for nothing.
    const next = this.#character();
    return (keepEscapes ? char : "") + next;
  }

  /** The next one, whole if it takes two places. */
  #character(): string {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) return "";
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char;
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw failed("unexpected end of statement while looking for matching single-quote");
    const quoted = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return this.#options.keepQuotes === true ? `'${quoted}'` : quoted;
  }

  #doubleQuoted(keepEscapes: boolean): string {
    const quote = this.#options.keepQuotes === true ? '"' : "";
    let result = quote;
    for (this.#at++; !this.#isEnd; ) {
      if (result.length > EXPANDED_MAX_CHARS) throw failed(`more than ${EXPANDED_MAX_CHARS} characters`);
      const char = this.#text[this.#at]!;
      if (char === '"') {
        this.#at++;
        return result + quote;
      }
      if (char === "$") {
        result += this.#dollar();
        continue;
      }
      this.#at++;
      if (char !== this.#escape) {
        result += char;
        continue;
      }
      if (keepEscapes) result += char;
      const next = this.#text[this.#at];
      if (next === undefined) break;
      const isEscaped = next === '"' || next === "$" || next === this.#escape;
      result += isEscaped ? next : char;
      if (isEscaped) this.#at++;
    }
    throw failed("unexpected end of statement while looking for matching double-quote");
  }

  #dollar(): string {
    this.#at++;
    if (this.#text[this.#at] === "{") return this.#braced();
    const name = this.#name();
    if (name === "") return "$";
    const value = this.#value(name);
    return value ?? (this.#options.keepUnset === true ? `$${name}` : "");
  }

  #name(): string {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0] ?? "";
    this.#at += name.length;
    return name;
  }

  #value(name: string): string | undefined {
    const value = this.#variables.get(name);
    (value === undefined ? this.#options.asked?.missing : this.#options.asked?.found)?.add(name);
    return value;
  }

  /** "${NAME}" and its modifiers, each with a word that is expanded in its turn. */
  #braced(): string {
    if (++this.#depth > SUBSTITUTIONS_MAX_DEPTH)
      throw failed(`more than ${SUBSTITUTIONS_MAX_DEPTH} substitutions within each other`);
    const began = this.#at - 1;
    this.#at++;
    if (this.#isEnd) throw failed("syntax error: missing '}'");
    if (["{", "}", ":"].includes(this.#text[this.#at]!)) throw failed("syntax error: bad substitution");
    const name = this.#name();
    if (this.#isEnd) throw failed("syntax error: missing '}'");
    const isKept = this.#options.keepUnset === true && !this.#variables.has(name);
    const result = this.#modified(name, isKept);
    this.#depth--;
    return isKept ? this.#text.slice(began, this.#at) : result;
  }

  #modified(name: string, isKept: boolean): string {
    const char = this.#character();
    if (char === "}") return this.#value(name) ?? "";
    if (char === "/") return this.#replaced(name);
    if (char === "#" || char === "%") return this.#trimmed(name, char);
    const isColon = char === ":";
    const modifier = isColon ? this.#character() : char;
    if (!["+", "-", "?"].includes(modifier))
      throw failed(`unsupported modifier (${isColon ? char : ""}${modifier}) in substitution`);
    const word = this.#until("}", false);
    const value = this.#value(name);
    const isSet = value !== undefined && !(isColon && value === "");
    if (modifier === "+") return isSet ? word : "";
    if (isSet) return value;
    if (modifier === "-" || isKept) return word;
    throw failed(`${name}: ${word || `is not allowed to be ${value === undefined ? "unset" : "empty"}`}`);
  }

  #trimmed(name: string, edge: "#" | "%"): string {
    const isGreedy = this.#text[this.#at] === edge;
    if (isGreedy) this.#at++;
    const pattern = parsePattern(this.#until("}", true));
    const value = this.#value(name) ?? "";
    requireShort(value);
    for (let step = 0; step <= value.length; step++) {
      const length = isGreedy ? value.length - step : step;
      const part = edge === "#" ? value.slice(0, length) : value.slice(value.length - length);
      if (matchesShellPattern(pattern, part))
        return edge === "#" ? value.slice(length) : value.slice(0, value.length - length);
    }
    return value;
  }

  /** The longest match at the first place that has one; "//": and so on after it. */
  #replaced(name: string): string {
    const isAll = this.#text[this.#at] === "/";
    if (isAll) this.#at++;
    const pattern = parsePattern(this.#until("/", true));
    const replacement = this.#until("}", true);
    const value = this.#value(name) ?? "";
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

function parsePattern(text: string): ShellPattern {
  const pattern = parseShellPattern(text);
  if (typeof pattern === "string") throw failed(`invalid pattern (${text}) in substitution: ${pattern}`);
  return pattern;
}

function requireShort(value: string): void {
  if (value.length > SUBSTITUTED_MAX_CHARS)
    throw failed(`a pattern for a value of more than ${SUBSTITUTED_MAX_CHARS} characters`);
}
