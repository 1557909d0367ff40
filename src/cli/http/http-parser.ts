/**
 * The responses of HTTP/1.1 (RFC 9112), as far as a client of the Engine API meets them: content-length, chunked and
 * until-close bodies, interim 1xx responses, and 101 after which the connection is a plain byte stream.
 *
 *   head ──► fixed ───────────────────────────► done
 *    ▲ │ ──► chunkSize ─► chunkData ─► chunkEnd ─┘ (… ─► trailer ─► done)
 *    └1xx ─► untilClose      (ends with the connection)
 *      └───► raw             (101: never ends by itself)
 */
import { text } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { HTTP_CHUNK_LINE_MAX_BYTES, HTTP_HEAD_MAX_BYTES } from "../../base/limits.ts";
import { type FileRange, parseFileChunk } from "../../spec/file-range.ts";

export interface ResponseHead {
  readonly status: number;
  /** Headers with names in lower case; a repeated header's values are joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether the bytes that follow are a plain stream: after 101, or after 200 when a stream was requested. */
  readonly raw: boolean;
}

interface ResponseEvents {
  head(head: ResponseHead): void;
  /** Receives the status of an interim response. */
  interim?(status: number): void;
  /** Receives a piece of the body: a view into what was pushed. */
  body(bytes: Uint8Array): void;
  /** Receives what stands in the place of a piece of the body, if it is asked for: see spec/file-range.ts. */
  range?(range: Omit<FileRange, "fd">): void;
  end(): void;
}

type State = "head" | "fixed" | "chunkSize" | "chunkData" | "chunkEnd" | "trailer" | "untilClose" | "raw" | "done";

const EMPTY = new Uint8Array(0);

/** Parses one response; give the next response on the same connection a new parser. */
export class ResponseParser {
  readonly #events: ResponseEvents;
  readonly #wantsStream: boolean;
  readonly #hasBody: boolean;
  #state: State = "head";
  /** Bytes of the head or of a line, kept from earlier pushes. */
  #carry: Uint8Array = EMPTY;
  #remaining = 0;
  #trailerBytes = 0;

  /**
   * `wantsStream`: the request asked for an upgrade, so 200 without a length also starts a raw stream. `hasBody` is false
   * for the answer to HEAD, whose length is that of a body which does not come.
   */
  constructor(events: ResponseEvents, wantsStream = false, hasBody = true) {
    this.#events = events;
    this.#wantsStream = wantsStream;
    this.#hasBody = hasBody;
  }

  get done(): boolean {
    return this.#state === "done";
  }

  /** Whether any byte of the response has come. */
  get started(): boolean {
    return this.#state !== "head" || this.#carry.length > 0;
  }

  /**
   * Consumes bytes; returns those after the end of the response.
   * @throws LighterError ("unavailable") if it is not HTTP
   */
  push(bytes: Uint8Array): Uint8Array {
    let rest = bytes;
    while (rest.length > 0 && this.#state !== "done") rest = this.#step(rest);
    return rest;
  }

  /**
   * Ends the connection.
   * @throws LighterError ("unavailable") if the response was not complete
   */
  close(): void {
    if (this.#state === "done") return;
    if (this.#state !== "untilClose" && this.#state !== "raw") throw malformed("the connection ended early");
    this.#finish();
  }

  #step(bytes: Uint8Array): Uint8Array {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes);
      case "fixed":
      case "chunkData": {
        const part = bytes.subarray(0, this.#remaining);
        this.#remaining -= part.length;
        this.#events.body(part);
        if (this.#remaining === 0) {
          if (this.#state === "fixed") this.#finish();
          else this.#state = "chunkEnd";
        }
        return bytes.subarray(part.length);
      }
      case "chunkSize":
        return this.#readLine(bytes, (line) => {
          const range = this.#events.range && parseFileChunk(line);
          if (range !== undefined) {
            this.#events.range?.(range);
            return;
          }
          const size = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(line);
          if (size === null) throw malformed("bad chunk size");
          this.#remaining = Number.parseInt(size[1] ?? "", 16);
          this.#state = this.#remaining === 0 ? "trailer" : "chunkData";
        });
      case "chunkEnd":
        return this.#readLine(bytes, (line) => {
          if (line !== "") throw malformed("chunk longer than its size");
          this.#state = "chunkSize";
        });
      case "trailer":
        return this.#readLine(bytes, (line) => {
          this.#trailerBytes += line.length;
          if (this.#trailerBytes > HTTP_HEAD_MAX_BYTES) throw malformed("trailer too long");
          if (line === "") this.#finish();
        });
      default:
        this.#events.body(bytes);
        return EMPTY;
    }
  }

  #finish(): void {
    this.#state = "done";
    this.#events.end();
  }

  #readLine(bytes: Uint8Array, use: (line: string) => void): Uint8Array {
    const newline = bytes.indexOf(0x0a);
    const part = newline === -1 ? bytes : bytes.subarray(0, newline + 1);
    const line = concat(this.#carry, part);
    if (line.length > HTTP_CHUNK_LINE_MAX_BYTES) throw malformed("line too long");
    if (newline === -1) {
      this.#carry = line;
      return EMPTY;
    }
    this.#carry = EMPTY;
    if (line[line.length - 2] !== 0x0d) throw malformed("line without CR");
    use(text(line.subarray(0, -2)));
    return bytes.subarray(newline + 1);
  }

  #readHead(bytes: Uint8Array): Uint8Array {
    const all = concat(this.#carry, bytes);
    const end = findHeadEnd(all);
    if (end === -1 ? all.length > HTTP_HEAD_MAX_BYTES : end > HTTP_HEAD_MAX_BYTES) throw malformed("head too long");
    if (end === -1) {
      this.#carry = all;
      return EMPTY;
    }
    this.#carry = EMPTY;
    const head = parseHead(text(all.subarray(0, end)));
    if (head.status >= 200 || head.status === 101) this.#startBody(head.status, head.headers);
    else this.#events.interim?.(head.status);
    return all.subarray(end + 4);
  }

  /** Chooses how the body ends (RFC 9112 §6.3), for the final statuses. */
  #startBody(status: number, headers: Map<string, string>): void {
    const length = headers.get("content-length");
    const coding = headers.get("transfer-encoding");
    let next: State = "untilClose";
    if (status === 101) next = "raw";
    else if (status === 204 || status === 304 || !this.#hasBody) next = "done";
    else if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked") throw malformed(`transfer coding "${coding}"`);
      next = "chunkSize";
    } else if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) throw malformed("bad content-length");
      this.#remaining = Number(length);
      next = this.#remaining === 0 ? "done" : "fixed";
    } else if (this.#wantsStream && status === 200) next = "raw";
    this.#events.head({ status, headers, raw: next === "raw" });
    if (next === "done") this.#finish();
    else this.#state = next;
  }
}

function parseHead(head: string): { status: number; headers: Map<string, string> } {
  const [statusLine = "", ...lines] = head.split("\r\n");
  const status = /^HTTP\/1\.[01] ([1-9]\d\d)(?: .*)?$/.exec(statusLine);
  if (status === null) throw malformed("no status line");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1 || /[\s]/.test(line.slice(0, colon))) throw malformed("bad header line");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status[1]), headers };
}

/** Returns the offset of the CR LF CR LF that ends the head, or -1. */
function findHeadEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(0x0d); at !== -1; at = bytes.indexOf(0x0d, at + 1))
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  return -1;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function malformed(what: string): LighterError {
  return new LighterError("unavailable", `read the daemon's answer: ${what}`);
}
