/**
 * Splits a Dockerfile's text into instructions. Knows lines, comments and flags, but no instruction's own syntax.
 * Source: Dockerfile reference, "Format".
 */
import { LighterError } from "../base/errors.ts";
import { DOCKERFILE_MAX_CHARS } from "../base/limits.ts";

export interface Instruction {
  /** The instruction's name, in capitals. */
  name: string;
  /** "--interval=5s" as ["interval", "5s"]; a flag without "=" has no value. */
  flags: [name: string, value: string | undefined][];
  /** The text after the flags, without white space around it. */
  rest: string;
}

/** Parses a text. @throws LighterError ("invalid") beyond DOCKERFILE_MAX_CHARS. */
export function parseInstructions(text: string): Instruction[] {
  if (text.length > DOCKERFILE_MAX_CHARS)
    throw new LighterError(
      "invalid",
      `instructions have ${text.length} characters, above the limit of ${DOCKERFILE_MAX_CHARS}`,
    );
  return joinLines(text).map(parseInstruction);
}

/** Joins a line that ends with a backslash with the next. Comments and empty lines are left out, also in between. */
function joinLines(text: string): string[] {
  const joined: string[] = [];
  let current: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue;
    const isContinued = /\\[ \t]*$/.test(line);
    current = (current ?? "") + (isContinued ? line.replace(/\\[ \t]*$/, "") : line);
    if (isContinued) continue;
    joined.push(current.trim());
    current = undefined;
  }
  if (current !== undefined) joined.push(current.trim());
  return joined.filter((line) => line !== "");
}

function parseInstruction(line: string): Instruction {
  const [, name = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  const flags: Instruction["flags"] = [];
  let left = rest;
  for (;;) {
    const match = /^--([a-zA-Z][^\s=]*)(?:=(\S*))?(?:\s+|$)/.exec(left);
    if (match === null) break;
    flags.push([match[1]!, match[2]]);
    left = left.slice(match[0].length);
  }
  return { name: name.toUpperCase(), flags, rest: left };
}

/** Parses a JSON array of strings; undefined if the text is no JSON array. @throws LighterError ("invalid"). */
export function parseJsonStrings(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // so it is a shell command that begins with "["
  }
  if (!Array.isArray(value) || !value.every((element) => typeof element === "string"))
    throw new LighterError("invalid", "when using JSON array syntax, arrays must be comprised of strings only");
  return value;
}
