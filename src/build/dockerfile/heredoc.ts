/** Heredocs of RUN, COPY and ADD: "<<EOF", "<<-EOF", "<<'EOF'". Source: moby/buildkit parser, "heredocsFromLine". */
import { LighterError } from "../../base/errors.ts";
import { parseJsonStrings } from "./json-form.ts";
import type { Heredoc } from "./types.ts";
import { expandWords } from "./words.ts";

const NO_VARIABLES: ReadonlyMap<string, string> = new Map();
const RAW = { keepQuotes: true, keepEscapes: true, keepUnset: true };

const WITH_HEREDOCS: ReadonlySet<string> = new Set(["add", "copy", "run"]);

/** Those that a line announces, still without their content. */
export function heredocsOf(keyword: string, rest: string, original: string): Heredoc[] {
  if (!original.includes("<<")) return [];
  const trigger = keyword.toLowerCase() === "onbuild" ? /^(\S+)\s*(.*)$/s.exec(rest) : undefined;
  const [name, argument] = trigger ? [trigger[1]!, trigger[2]!] : [keyword, rest];
  if (!WITH_HEREDOCS.has(name.toLowerCase()) || parseJsonStrings(argument) !== undefined) return [];
  return wordsOf(original).flatMap((word) => parseHeredoc(word) ?? []);
}

function wordsOf(line: string): string[] {
  try {
    return expandWords(line, NO_VARIABLES, RAW);
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    return []; // quotes that do not close are the shell's business
  }
}

/** Undefined: the word begins none. */
export function parseHeredoc(word: string): Heredoc | undefined {
  const [, chomp, rest] = /^\d*<<(-?)([^<]*)$/.exec(word) ?? [];
  if (rest === undefined || rest === "") return undefined;
  const names = expandWords(rest, NO_VARIABLES, { keepUnset: true });
  if (names.length !== 1) return undefined;
  const [written = ""] = expandWords(rest, NO_VARIABLES, { keepUnset: true, keepQuotes: true });
  const quotes = (text: string) => text.match(/['"]/g)?.length ?? 0;
  return { name: names[0]!, content: "", expand: quotes(written) === quotes(names[0]!), chomp: chomp === "-" };
}
