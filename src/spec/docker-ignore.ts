/**
 * `.dockerignore`: which files of a context are left out.
 * Sources: Docker's documents, "Build context"; moby/patternmatcher, whose rules for "**" are its own.
 */
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { compilePattern } from "../base/linear-pattern.ts";

export const IGNORE_FILE = ".dockerignore";

type Match = (path: string) => boolean;

interface Pattern {
  /** Its text, cleaned. */
  text: string;
  /** A pattern with "!" before it takes back what others have excluded. */
  isException: boolean;
  matches: Match;
}

export interface IgnoreRules {
  /** The patterns in the form in which BuildKit's API sends them. */
  patterns: readonly string[];
  hasExceptions: boolean;
  /** Whether the path, relative to the context, or a directory above it, is left out. The last pattern that matches wins. */
  excludes: Match;
}

/** @throws LighterError ("invalid") if a pattern is malformed. */
export function parseIgnoreFile(text: string): IgnoreRules {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  // In the file, a slash at the beginning means nothing.
  return rulesOf(lines.flatMap((line) => (line.startsWith("#") ? [] : parsePattern(line, /^\/(?=.)/))));
}

/** The same of patterns that are in no file, such as those of `COPY --exclude`. @throws as `parseIgnoreFile`. */
export function compileIgnorePatterns(written: readonly string[]): IgnoreRules {
  return rulesOf(written.flatMap((pattern) => parsePattern(pattern)));
}

function rulesOf(patterns: readonly Pattern[]): IgnoreRules {
  return {
    patterns: patterns.map(({ isException, text }) => (isException ? `!${text}` : text)),
    hasExceptions: patterns.some(({ isException }) => isException),
    excludes: (path) => {
      const paths = withParents(path);
      let isExcluded = false;
      for (const { isException, matches } of patterns)
        if (isException === isExcluded && paths.some(matches)) isExcluded = !isException;
      return isExcluded;
    },
  };
}

/** "a/b/c" as "a", "a/b" and "a/b/c". */
function withParents(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function parsePattern(text: string, dropped = /^$/): Pattern[] {
  const written = text.trim();
  if (written === "") return [];
  const isException = written.startsWith("!");
  const path = isException ? written.slice(1).trim() : written;
  if (path === "") throw invalid('illegal exclusion pattern: "!"');
  const cleaned = posix
    .normalize(path)
    .replace(/(.)\/$/, "$1")
    .replace(dropped, "");
  return [{ text: cleaned, isException, matches: compile(cleaned) }];
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

/** The wildcards, and characters that mean something to a regular expression but not here. */
const TOKEN = /\*\*\/?|\*|\?|\\.|[.+(){}|$]|[^*?\\.+(){}|$]+|\\$/gsu;

function compile(pattern: string): Match {
  const isPlain = !/[*?[\]\\]/.test(pattern);
  if (isPlain) return (path) => path === pattern;
  const [, stem] = /^([^*?[\]\\]*)\*\*\/?$/.exec(pattern) ?? [];
  if (stem !== undefined) return (path) => path.startsWith(stem);
  const [, slash, end] = /^\*\*(\/?)([^*?[\]\\]+)$/.exec(pattern) ?? [];
  if (end !== undefined) return (path) => path.endsWith(slash + end) || (slash === "/" && path === end);
  const expression = pattern.replace(TOKEN, (token, offset: number) => {
    if (token.startsWith("**")) return offset + token.length === pattern.length ? ".*" : "(.*/)?";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    return /^[.+(){}|$]$/.test(token) ? `\\${token}` : token;
  });
  const matches = compilePattern(`^${expression}$`);
  if (matches === undefined) throw invalid("syntax error in pattern");
  return matches;
}
