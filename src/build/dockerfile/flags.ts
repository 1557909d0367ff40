/** Flags of an instruction: "--from=x", before its first other word. Source: moby/buildkit instructions/bflag.go. */
import { invalid } from "./error.ts";
import { withSuggestion } from "./suggest.ts";
import { isSpace } from "./words.ts";

/** Takes flags from the beginning of a text, their quotes and escapes away. "--" alone ends them. */
export function takeFlags(text: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && isSpace(text[at]!)) at++;
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at) };
    const { flag, end } = takeFlag(text, at);
    at = end;
    if (flag === "--") return { flags, rest: text.slice(at) };
    flags.push(flag);
  }
}

/** A backslash stands for the character after it, whatever the Dockerfile's escape is. */
function takeFlag(text: string, begin: number): { flag: string; end: number } {
  let flag = "";
  let quote = "";
  let at = begin;
  for (; at < text.length; at++) {
    const char = text[at]!;
    if (quote === "" && isSpace(char)) break;
    if (quote === "" && (char === "'" || char === '"')) quote = char;
    else if (char === quote) quote = "";
    else flag += char === "\\" ? (text[++at] ?? "") : char;
  }
  return { flag, end: Math.min(at, text.length) };
}

type FlagKind = "boolean" | "text" | "texts";
export type FlagTable = Readonly<Record<string, FlagKind>>;

/** What was given, by name: a flag of kind "texts" may be given more than once. */
export class Flags {
  readonly #values = new Map<string, string[]>();

  /** @throws LighterError ("invalid"), with BuildKit's words. */
  constructor(given: readonly string[], table: FlagTable) {
    for (const flag of given) this.#add(flag.slice(2), table);
  }

  #add(flag: string, table: FlagTable): void {
    const at = flag.indexOf("=");
    const name = at < 0 ? flag : flag.slice(0, at);
    const value = at < 0 ? undefined : flag.slice(at + 1);
    const kind = Object.hasOwn(table, name) ? table[name] : undefined;
    if (kind === undefined) throw invalid(withSuggestion(`unknown flag: ${name}`, name, Object.keys(table)));
    const values = this.#values.get(name) ?? [];
    if (values.length > 0 && kind !== "texts") throw invalid(`duplicate flag specified: ${name}`);
    if (kind === "boolean" ? value === "" : value === undefined) throw invalid(`missing a value on flag: ${name}`);
    if (kind === "boolean" && !/^(true|false)$/i.test(value ?? "true"))
      throw invalid(`expecting boolean value for flag ${name}, not: ${value}`);
    this.#values.set(name, [...values, kind === "boolean" ? (value ?? "true").toLowerCase() : value!]);
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  texts(name: string): string[] {
    return this.#values.get(name) ?? [];
  }

  boolean(name: string): boolean | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : value === "true";
  }
}
