import { expect, test } from "bun:test";
import { text, utf8 } from "../base/bytes.ts";
import { LighterError } from "../base/errors.ts";
import { Demultiplexer } from "./demux.ts";

function frame(stream: number, body: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(body), 4);
  return Buffer.concat([header, utf8(body)]);
}

function split(bytes: Uint8Array, size: number): { stdout: string; stderr: string } {
  const out = { stdout: "", stderr: "" };
  const demultiplexer = new Demultiplexer();
  for (let at = 0; at < bytes.length; at += size)
    for (const piece of demultiplexer.push(bytes.subarray(at, at + size))) out[piece.stream] += text(piece.bytes);
  return out;
}

test.each([1, 2, 5, 8, 9, 1000])("frames split every %p bytes come out whole", (size) => {
  const bytes = Buffer.concat([frame(1, "one"), frame(2, "error"), frame(1, ""), frame(0, "two"), frame(2, "!")]);
  expect(split(bytes, size)).toEqual({ stdout: "onetwo", stderr: "error!" });
});

test("the daemon's own message ends the stream as an error", () => {
  expect(() => split(frame(3, "disk on fire"), 4)).toThrow(
    new LighterError("unavailable", "error from daemon in stream: disk on fire"),
  );
});

test("an unknown stream and an endless message are refused", () => {
  expect(() => split(frame(4, "x"), 100)).toThrow("unknown stream 4");
  expect(() => split(frame(3, "x".repeat(100_000)), 1000)).toThrow("the daemon's message is too long");
});
