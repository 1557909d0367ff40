/** Decodes HTTP bodies in chunks. */
import { LighterError } from "../base/errors.ts";
import { HTTP_CHUNK_LINE_MAX_BYTES } from "../base/limits.ts";
import { type FileRange, parseFileChunk } from "./file-range.ts";

/**
 * Decodes a body in chunks, from bytes cut anywhere:
 *
 *   | size, hexadecimal, ";" extensions CRLF | bytes CRLF | … | 0 CRLF | trailers, a CRLF each … | CRLF |
 *
 * Source: RFC 9112, section 7.1. Extensions and trailers are ignored, apart from those of file-range.ts if they are asked for.
 */
export class ChunkDecoder {
  #state: "size" | "bytes" | "end of bytes" | "trailer" | "done" = "size";
  #line: Buffer = Buffer.alloc(0);
  #bytesLeft = 0;
  readonly #takesFiles: boolean;
  #range: Omit<FileRange, "fd"> | undefined;

  constructor({ takesFiles = false } = {}) {
    this.#takesFiles = takesFiles;
  }

  /**
   * Takes bytes and returns their payload and, once the body is complete, the bytes that follow it. If they end with the line of a
   * range, that follows the payload; no bytes may come with it after the line. @throws LighterError "invalid"
   */
  push(chunk: Buffer): { payload: Buffer; range: Omit<FileRange, "fd"> | undefined; rest: Buffer | undefined } {
    const payloads: Buffer[] = [];
    this.#range = undefined;
    let at = 0;
    while (at < chunk.length && this.#state !== "done") {
      if (this.#range !== undefined) throw malformed();
      if (this.#state === "bytes") {
        const payload = chunk.subarray(at, at + this.#bytesLeft);
        payloads.push(payload);
        at += payload.length;
        this.#bytesLeft -= payload.length;
        if (this.#bytesLeft === 0) this.#state = "end of bytes";
        continue;
      }
      const newline = chunk.indexOf(0x0a, at);
      const end = newline === -1 ? chunk.length : newline + 1;
      this.#line = Buffer.concat([this.#line, chunk.subarray(at, end)]);
      at = end;
      if (this.#line.length > HTTP_CHUNK_LINE_MAX_BYTES) throw malformed();
      if (newline === -1) break;
      const line = this.#line.toString("latin1").replace(/\r?\n$/, "");
      this.#line = Buffer.alloc(0);
      this.#onLine(line);
    }
    const payload = payloads.length === 1 ? payloads[0]! : Buffer.concat(payloads);
    return { payload, range: this.#range, rest: this.#state === "done" ? chunk.subarray(at) : undefined };
  }

  #onLine(line: string): void {
    if (this.#state === "trailer") {
      if (line === "") this.#state = "done";
    } else if (this.#state === "end of bytes") {
      if (line !== "") throw malformed();
      this.#state = "size";
    } else {
      this.#range = this.#takesFiles ? parseFileChunk(line) : undefined;
      if (this.#range !== undefined) return;
      const [, size] = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line) ?? [];
      if (size === undefined) throw malformed();
      this.#bytesLeft = Number.parseInt(size, 16);
      this.#state = this.#bytesLeft === 0 ? "trailer" : "bytes";
    }
  }
}

function malformed(): LighterError {
  return new LighterError("invalid", "malformed chunked encoding");
}
