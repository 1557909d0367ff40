/** Parses logs into entries: Docker's json-file, and the one that kubelet reads. */
import { LOG_LINE_MAX_BYTES } from "../../base/limits.ts";

/** One record of a log: a line, or a part of a long one (then `log` has no line break at its end). */
export interface LogEntry {
  stream: "stdout" | "stderr";
  log: string;
  /** The time of the entry, RFC 3339. */
  time: string;
}

/**
 * Splits a log into entries. Anything else is skipped: a crash may tear a line, a full disk may drop the middle of one,
 * and the lines that follow must still be readable.
 */
export class LogParser {
  #rest: Buffer = Buffer.alloc(0);
  #skipping = false;

  /** Returns the entries that `chunk` completes. The chunk may be reused afterwards. */
  push(bytes: Uint8Array): LogEntry[] {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const entries: LogEntry[] = [];
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      const line = chunk.subarray(start, end);
      start = end + 1;
      if (this.#skipping) {
        this.#skipping = false;
        continue;
      }
      const entry = parseLogEntry(this.#rest.length === 0 ? line : Buffer.concat([this.#rest, line]));
      this.#rest = Buffer.alloc(0);
      if (entry !== undefined) entries.push(entry);
    }
    if (start < chunk.length && !this.#skipping) this.#keep(chunk.subarray(start));
    return entries;
  }

  #keep(part: Buffer): void {
    this.#skipping = this.#rest.length + part.length > LOG_LINE_MAX_BYTES;
    this.#rest = this.#skipping ? Buffer.alloc(0) : Buffer.concat([this.#rest, part]);
  }

  /** Forgets an unfinished line: at the end of a file it will never be finished. */
  reset(): void {
    this.#rest = Buffer.alloc(0);
    this.#skipping = false;
  }
}

const BRACE = 0x7b;
/** "2016-10-06T00:17:09.669794202Z stdout F text"; P for a part of a line that goes on. */
const CRI_LINE = /^(\d{4}-\S{1,40}) (stdout|stderr) ([FP]) (.*)$/s;

/** Parses a line; undefined if it is not an entry. */
function parseLogEntry(line: Buffer): LogEntry | undefined {
  if (line[0] === BRACE) return parseJsonEntry(line);
  const [, time, stream, tag, text] = CRI_LINE.exec(line.toString("utf8")) ?? [];
  if (time === undefined) return undefined;
  return { stream: stream as LogEntry["stream"], log: tag === "F" ? `${text}\n` : text!, time };
}

function parseJsonEntry(line: Buffer): LogEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line.toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { stream, log, time } = value as Partial<LogEntry>;
  if ((stream !== "stdout" && stream !== "stderr") || typeof log !== "string" || typeof time !== "string")
    return undefined;
  return { stream, log, time };
}
