/** Reads bodies of HTTP/1.1 requests in a worker, which has the client's connection itself. */

import { LighterError } from "../base/errors.ts";
import { ChunkDecoder } from "../spec/chunk-decoder.ts";

/**
 * How a body ends: with the connection, by its chunks, or after a number of bytes. "files" are chunks, too; their sender offers
 * descriptors in place of bytes (spec/file-range.ts), which only `receiveWithFiles` takes.
 */
export type BodyForm = "plain" | "chunks" | "files" | { bytes: number };

/** The bytes of a body, and nothing after it. @throws LighterError "invalid" for one that breaks off, or is malformed */
export function bodyOf(form: BodyForm, source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (form === "plain") return source;
  return typeof form === "string" ? decodeChunks(source) : firstBytes(source, form.bytes);
}

export function brokenOff(): LighterError {
  return new LighterError("invalid", "the request's body ended early");
}

async function* firstBytes(source: AsyncIterable<Uint8Array>, byteCount: number): AsyncGenerator<Uint8Array> {
  let left = byteCount;
  if (left === 0) return;
  for await (const bytes of source) {
    yield bytes.subarray(0, left);
    left -= bytes.length;
    if (left <= 0) return;
  }
  throw brokenOff();
}

async function* decodeChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new ChunkDecoder();
  for await (const bytes of source) {
    const { payload, rest } = decoder.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (payload.length > 0) yield payload;
    if (rest !== undefined) return;
  }
  throw brokenOff();
}
