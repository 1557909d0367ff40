/** Environment variables and labels from flags and from files. */
import { readFileSync } from "node:fs";
import { errnoOf, messageOf } from "../../base/errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Expands the text of `-e`: "K=V" is unchanged, "K" takes the value from our own environment if it has one.
 * @throws Error
 */
export function parseEnvFlag(text: string, env: Environment = process.env): string {
  const equals = text.indexOf("=");
  if (equals === 0 || text === "") throw new Error(`invalid environment variable: ${text}`);
  if (equals > 0) return text;
  const value = env[text];
  return value === undefined ? text : `${text}=${value}`;
}

/**
 * Reads the lines of an `--env-file`: "K=V" (the value is everything after "=", quotes included); "K" alone takes its
 * value from `env` or is dropped; "#" lines and empty lines are skipped.
 * @throws Error naming the file or the line
 */
export function readEnvFile(path: string, env: Environment = process.env): string[] {
  return readPairs(path, (name) => (env[name] === undefined ? undefined : `${name}=${env[name]}`));
}

/** Reads the lines of a `--label-file`: like an env file, but "K" alone is dropped. */
export function readLabelFile(path: string): string[] {
  return readPairs(path, () => undefined);
}

function readPairs(path: string, lone: (name: string) => string | undefined): string[] {
  return parsePairs(path, readText(path), lone);
}

export function parsePairs(path: string, content: Uint8Array, lone: (name: string) => string | undefined): string[] {
  const pairs: string[] = [];
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let lineNumber = 0;
  for (const bytes of splitLines(content)) {
    lineNumber++;
    let line: string;
    try {
      line = decoder.decode(bytes); // drops a byte order mark, which some editors write at the start
    } catch {
      throw new Error(`env file ${path} contains invalid utf8 bytes at line ${lineNumber}`);
    }
    line = line.replace(/^\s+/, "");
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    const name = equals === -1 ? line : line.slice(0, equals);
    if (/\s/.test(name)) throw new Error(`poorly formatted environment: variable '${name}' contains whitespaces`);
    if (name === "") throw new Error(`poorly formatted environment: no variable name on line '${line}'`);
    const pair = equals === -1 ? lone(name) : line;
    if (pair !== undefined) pairs.push(pair);
  }
  return pairs;
}

function* splitLines(content: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < content.length; ) {
    const newline = content.indexOf(0x0a, start);
    const end = newline === -1 ? content.length : newline;
    yield content.subarray(start, content[end - 1] === 0x0d ? end - 1 : end);
    start = end + 1;
  }
}

function readText(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`open ${path}: ${errnoText(cause)}`, { cause });
  }
}

/** Returns the kernel's words for an error of a file named on the command line. */
export function errnoText(error: unknown): string {
  switch (errnoOf(error)) {
    case "ENOENT":
      return "no such file or directory";
    case "EACCES":
      return "permission denied";
    case "EISDIR":
      return "is a directory";
    case "ENOTDIR":
      return "not a directory";
    default:
      return messageOf(error);
  }
}

/** Turns "k=v" strings into an object; "k" alone has the empty value; the last one of a name wins. */
export function pairsToObject(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      return equals === -1 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
