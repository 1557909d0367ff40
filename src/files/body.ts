/** Bodies of HTTP/1.1 requests that a worker reads from a client's connection itself. */
import { LighterError } from "../base/errors.ts";
import { HTTP_CHUNK_LINE_MAX_BYTES } from "../base/limits.ts";

/** How a body ends: with the connection, as its chunks say, or after so many bytes. */
export type BodyForm = "plain" | "chunks" | { bytes: number };

/** The bytes of a body, and nothing behind it. @throws LighterError "invalid" for one that breaks off, or is malformed */
export function bodyOf(form: BodyForm, source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (form === "plain") return source;
  return form === "chunks" ? decodeChunks(source) : firstBytes(source, form.bytes);
}

function brokenOff(): LighterError {
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

/** Source: RFC 9112, section 7.1. Extensions and trailers are passed over. */
async function* decodeChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let expected: "size" | "data" | "end of data" | "trailer" = "size";
  let left = 0;
  let line = "";
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; ) {
      if (expected === "data") {
        const piece = bytes.subarray(at, at + left);
        yield piece;
        at += piece.length;
        left -= piece.length;
        if (left === 0) expected = "end of data";
        continue;
      }
      const end = bytes.indexOf(10, at);
      line += Buffer.from(bytes.subarray(at, end === -1 ? bytes.length : end)).toString("latin1");
      if (line.length > HTTP_CHUNK_LINE_MAX_BYTES) throw malformed();
      if (end === -1) break;
      at = end + 1;
      const text = line.replace(/\r$/, "");
      line = "";
      if (expected === "trailer") {
        if (text === "") return;
      } else if (expected === "end of data") {
        if (text !== "") throw malformed();
        expected = "size";
      } else {
        const [, size] = /^([0-9a-f]{1,12})\s*(?:;.*)?$/i.exec(text) ?? [];
        if (size === undefined) throw malformed();
        left = Number.parseInt(size, 16);
        expected = left === 0 ? "trailer" : "data";
      }
    }
  }
  throw brokenOff();
}

function malformed(): LighterError {
  return new LighterError("invalid", "the request's body has a malformed chunk");
}
