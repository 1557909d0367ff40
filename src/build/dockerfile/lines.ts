/**
 * A Dockerfile's text as lines that each hold one instruction: directives, comments, continuations and heredocs.
 * Knows no instruction's own syntax.
 * Sources: Dockerfile reference, "Format", "Parser directives"; moby/buildkit frontend/dockerfile/parser.
 */
import { BUILD_DOCKERFILE_MAX_CHARS, DOCKERFILE_LINE_MAX_BYTES } from "../../base/limits.ts";
import { DockerfileError, located } from "./error.ts";
import { takeFlags } from "./flags.ts";
import { heredocsOf } from "./heredoc.ts";
import type { Dockerfile, Heredoc, SourceRange } from "./types.ts";

export interface Line {
  /** As written. */
  keyword: string;
  /** "--from=x", each without its quotes. */
  flags: string[];
  /** What follows the flags, without white space around it. */
  rest: string;
  original: string;
  heredocs: Heredoc[];
  comments: string[];
  range: SourceRange;
}

interface Lines {
  lines: Line[];
  escape: Dockerfile["escape"];
  directives: Map<string, string>;
  /** Where an instruction was continued past an empty line. */
  emptyContinuations: SourceRange[];
}

const DIRECTIVES: ReadonlySet<string> = new Set(["syntax", "escape", "check"]);

/** @throws DockerfileError, with BuildKit's words. */
export function readLines(text: string): Lines {
  if (text.length > BUILD_DOCKERFILE_MAX_CHARS)
    throw new DockerfileError(`the Dockerfile has more than ${BUILD_DOCKERFILE_MAX_CHARS} characters`, []);
  const reader = new LineReader(text.startsWith("\ufeff") ? text.slice(1) : text);
  reader.readAll();
  return reader;
}

class LineReader implements Lines {
  readonly lines: Line[] = [];
  readonly directives = new Map<string, string>();
  readonly emptyContinuations: SourceRange[] = [];
  escape: Dockerfile["escape"] = "\\";
  readonly #text: string;
  #at = 0;
  /** The number of the line that was read last. */
  #number = 0;
  #mayBeDirective = true;
  #comments: string[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  readAll(): void {
    for (let raw = this.#next(); raw !== undefined; raw = this.#next()) this.#readFrom(raw);
  }

  /** The next line with its end, which a heredoc keeps. */
  #next(): string | undefined {
    if (this.#at >= this.#text.length) return undefined;
    const end = this.#text.indexOf("\n", this.#at);
    const raw = this.#text.slice(this.#at, end < 0 ? undefined : end + 1);
    this.#at += raw.length;
    this.#number++;
    const bytes = raw.length * 3 <= DOCKERFILE_LINE_MAX_BYTES ? 0 : Buffer.byteLength(raw) - (end < 0 ? 0 : 1);
    if (bytes > DOCKERFILE_LINE_MAX_BYTES)
      throw this.#failed(`dockerfile line greater than max allowed size of ${DOCKERFILE_LINE_MAX_BYTES}`, this.#number);
    return raw;
  }

  #failed(message: string, start: number): DockerfileError {
    return new DockerfileError(message, [{ start, end: this.#number }]);
  }

  #readFrom(raw: string): void {
    const start = this.#number;
    const first = withoutEnd(raw).trimStart();
    if (this.#mayBeDirective && this.#takeDirective(first)) return;
    if (first.startsWith("#")) {
      const comment = first.slice(1).trim();
      if (comment === "") this.#comments = [];
      else this.#comments.push(comment);
      return;
    }
    if (first === "") {
      this.#comments = [];
      return;
    }
    const original = this.#continued(first);
    const line = located({ start, end: this.#number }, () => splitLine(original));
    const comments = this.#comments;
    this.#comments = [];
    const heredocs = located({ start, end: this.#number }, () => heredocsOf(line.keyword, line.rest, original));
    for (const heredoc of heredocs) this.#fill(heredoc, start);
    this.lines.push({ ...line, original: original.trim(), heredocs, comments, range: { start, end: this.#number } });
  }

  #takeDirective(line: string): boolean {
    const [, given = "", written = ""] = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)$/s.exec(line) ?? [];
    const [name, value] = [given.toLowerCase(), written.trim()];
    this.#mayBeDirective = DIRECTIVES.has(name) && value !== "";
    if (!this.#mayBeDirective) return false;
    if (this.directives.has(name)) throw this.#failed(`only one ${name} parser directive can be used`, this.#number);
    this.directives.set(name, value);
    if (name !== "escape") return true;
    if (value !== "\\" && value !== "`")
      throw this.#failed(`invalid escape token '${value}' does not match \` or \\`, this.#number);
    this.escape = value;
    return true;
  }

  /** A line whose last character is the escape goes on in the next, past comments. */
  #continued(first: string): string {
    let part = this.#cutContinuation(first);
    if (part === undefined) return first;
    const parts = [part];
    let hasEmpty = false;
    for (let raw = this.#next(); raw !== undefined; raw = this.#next()) {
      const line = withoutEnd(raw);
      const inner = line.trimStart();
      if (inner.startsWith("#")) continue;
      if (inner === "") {
        hasEmpty = true;
        continue;
      }
      part = this.#cutContinuation(line);
      parts.push(part ?? line);
      if (part === undefined) break;
    }
    if (hasEmpty) this.emptyContinuations.push({ start: this.#number, end: this.#number });
    return parts.join("");
  }

  /** Undefined: it is not continued. An escape that another one escapes continues nothing. */
  #cutContinuation(line: string): string | undefined {
    let end = line.length;
    while (end > 0 && (line[end - 1] === " " || line[end - 1] === "\t")) end--;
    if (line[end - 1] !== this.escape || line[end - 2] === this.escape) return undefined;
    return line.slice(0, end - 1);
  }

  #fill(heredoc: Heredoc, start: number): void {
    const content: string[] = [];
    for (let raw = this.#next(); raw !== undefined; raw = this.#next()) {
      const line = heredoc.chomp ? raw.replace(/^\t+/, "") : raw;
      if (withoutEnd(line) === heredoc.name) {
        heredoc.content = content.join("");
        return;
      }
      content.push(line);
    }
    throw this.#failed("unterminated heredoc", start);
  }
}

function withoutEnd(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === "\n" || line[end - 1] === "\r")) end--;
  return line.slice(0, end);
}

const GAP = /[\t\v\f\r ]+/;

function splitLine(original: string): Pick<Line, "keyword" | "flags" | "rest"> {
  const line = original.trim();
  const gap = GAP.exec(line);
  if (gap === null) return { keyword: line, flags: [], rest: "" };
  const { flags, rest } = takeFlags(line.slice(gap.index + gap[0].length));
  return { keyword: line.slice(0, gap.index), flags, rest: rest.trim() };
}
