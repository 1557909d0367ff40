/**
 * Command-line flags. A command has one table of them, which drives parsing, `--help` and the error texts. The rules
 * are those of the Go package spf13/pflag, which users of the stock client are used to.
 */

import { LighterError, messageOf } from "../base/errors.ts";
import { goQuote } from "../base/go-escapes.ts";
import { readFlags } from "../base/pflag.ts";
import { CliError, EXIT_NOT_RUN, seeHelp } from "./exit.ts";
import { parseGoBool, parseGoInt, parseGoUint } from "./format/go.ts";

export interface Flag<T> {
  readonly help: string;
  readonly initial: T;
  /**
   * Returns the value after one more occurrence of the flag.
   * @throws Error whose text completes "invalid argument … flag: "
   */
  readonly parse: (text: string, before: T) => T;
  readonly short?: string;
  /** Word that `--help` shows after the name; "" for none. */
  readonly type: string;
  /** Default value as `--help` shows it. */
  readonly shown?: string;
  /** Value of the flag when it stands alone. Without it the flag takes the next argument. */
  readonly implicit?: string;
  readonly hidden?: true;
  /** Name of the flag that gets the values; this one is another spelling, kept for old scripts. */
  readonly aliasOf?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: a table mixes flags of all value types; FlagValues gives them back
export type FlagTable = Readonly<Record<string, Flag<any>>>;
export type FlagValues<T extends FlagTable> = { [K in keyof T]: T[K] extends Flag<infer V> ? V : never };

export interface ParsedFlags<T extends FlagTable> {
  readonly values: FlagValues<T>;
  /** Names of the flags that the user gave, whatever their values. */
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
  /** "help" if --help was given; "short-help" for -h, which first prints that it is deprecated. */
  readonly help?: "help" | "short-help";
}

type Extra = { short?: string; shown?: string; hidden?: true };

/** Makes another spelling of `name` in the same table, which `--help` does not show. */
export function aliasFlag(name: string): Flag<undefined> {
  return { help: "", type: "", initial: undefined, parse: () => undefined, hidden: true, aliasOf: name };
}

export function boolFlag(help: string, extra: Extra & { initial?: boolean } = {}): Flag<boolean> {
  const { initial = false, ...rest } = extra;
  return {
    help,
    initial,
    parse: parseGoBool,
    type: "",
    implicit: "true",
    ...(initial ? { shown: "true" } : {}),
    ...rest,
  };
}

export function stringFlag(help: string, extra: Extra & { initial?: string; type?: string } = {}): Flag<string> {
  const { initial = "", type = "string", ...rest } = extra;
  const shown = initial === "" ? {} : { shown: `"${initial}"` };
  return { help, initial, parse: (text) => text, type, ...shown, ...rest };
}

export function intFlag(help: string, extra: Extra & { initial?: number } = {}): Flag<number> {
  const { initial = 0, ...rest } = extra;
  const shown = initial === 0 ? {} : { shown: String(initial) };
  return { help, initial, parse: (text) => parseGoInt(text), type: "int", ...shown, ...rest };
}

export function uintFlag(help: string, bits: number, extra: Extra = {}): Flag<number> {
  return {
    help,
    initial: 0,
    parse: (text) => parseGoUint(text, bits),
    type: bits === 64 ? "uint" : `uint${bits}`,
    ...extra,
  };
}

/** Makes a flag that collects every occurrence, each parsed by `item`. */
export function listFlag<T = string>(
  help: string,
  extra: Extra & { type?: string; item?: (text: string) => T } = {},
): Flag<readonly T[]> {
  const { item = (text: string) => text as T, type = "list", ...rest } = extra;
  return { help, initial: [], parse: (text, before) => [...before, item(text)], type, ...rest };
}

/** Makes a flag whose value has a type of its own. */
export function valueFlag<T>(
  help: string,
  type: string,
  initial: T,
  parse: (text: string) => T,
  extra: Extra = {},
): Flag<T> {
  return { help, type, initial, parse, ...extra };
}

/**
 * Parses `argv`. If `interspersed` is false, the first positional argument ends the flags (`run`, `exec`: what follows
 * the image belongs to the container). `before`: what earlier words have said.
 * @throws CliError (125) for an unknown flag or a bad value
 */
export function parseFlags<T extends FlagTable>(
  command: string,
  table: T,
  argv: readonly string[],
  interspersed: boolean,
  before?: Pick<ParsedFlags<T>, "values" | "given">,
): ParsedFlags<T> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(table)) values[name] = table[name]?.initial;
  Object.assign(values, before?.values);
  const shorts = new Map<string, string>();
  for (const [name, flag] of Object.entries(table)) if (flag.short !== undefined) shorts.set(flag.short, name);
  const given = new Set(before?.given);
  let help: "help" | "short-help" | undefined;
  const fail = (text: string) => new CliError(`${text}\n${seeHelp(command)}`, EXIT_NOT_RUN);
  const set = (name: string, flag: Flag<unknown>, text: string) => {
    const target = flag.aliasOf ?? name;
    try {
      values[target] = (table[target] ?? flag).parse(text, values[target]);
    } catch (error) {
      const shownName = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      throw fail(`invalid argument ${goQuote(text)} for ${goQuote(shownName)} flag: ${messageOf(error)}`);
    }
    given.add(target);
  };

  const long = (name: string) => {
    const flag = Object.hasOwn(table, name) ? table[name] : undefined;
    if (flag !== undefined) return { name, implicit: flag.implicit };
    return name === "help" ? { name: "", implicit: "help" } : undefined;
  };
  const short = (letter: string) => {
    const name = shorts.get(letter);
    if (name !== undefined) return long(name);
    return letter === "h" ? { name: "", implicit: "short-help" } : undefined;
  };
  // A --help that no table lists (reported under the name "") ends the parsing.
  const onFlag = (name: string, text: string) => {
    if (name === "") help = text === "short-help" ? "short-help" : "help";
    else set(name, table[name]!, text);
    return help === undefined;
  };
  let args: string[];
  try {
    args = readFlags(argv, { long, short }, { interspersed, onFlag });
  } catch (error) {
    throw error instanceof LighterError ? fail(error.message) : error;
  }
  if (values.help === true) help = "help"; // a table may list --help, to offer it without -h
  return { values: values as FlagValues<T>, given, args, ...(help === undefined ? {} : { help }) };
}

/** Width of `--help`. The stock client uses the terminal's; a fixed width keeps the text reproducible. */
const HELP_COLUMNS = 80;

/** Formats the "Options:" lines of `--help`, sorted by name, without a heading. */
export function formatFlags(table: FlagTable): string {
  const rows = Object.entries(table)
    .filter(([, flag]) => flag.hidden !== true)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => {
      const left = `  ${flag.short === undefined ? "   " : `-${flag.short},`} --${name}${flag.type === "" ? "" : ` ${flag.type}`}`;
      return { left, right: flag.help + (flag.shown === undefined ? "" : ` (default ${flag.shown})`) };
    });
  const indent = Math.max(...rows.map((row) => row.left.length)) + 3;
  return rows.map(({ left, right }) => left.padEnd(indent) + fold(right, indent)).join("\n");
}

function fold(text: string, indent: number): string {
  const width = HELP_COLUMNS - indent;
  return text
    .split("\n")
    .flatMap((line) => {
      const lines: string[] = [];
      let current = "";
      for (const word of line.split(" ")) {
        if (current !== "" && current.length + 1 + word.length > width) {
          lines.push(current);
          current = word;
        } else current = current === "" ? word : `${current} ${word}`;
      }
      return [...lines, current];
    })
    .join(`\n${" ".repeat(indent)}`);
}
