import { expect, test } from "bun:test";
import { text, utf8 } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { Demultiplexer, type OwnStream, type StreamName } from "./demux.ts";

function frame(stream: number, body: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(body), 4);
  return Buffer.concat([header, utf8(body)]);
}

function split(bytes: Uint8Array, size: number, hasOwn = false): Partial<Record<StreamName | OwnStream, string>> {
  const out: ReturnType<typeof split> = {};
  const demultiplexer = new Demultiplexer(hasOwn);
  for (let at = 0; at < bytes.length; at += size)
    for (const piece of demultiplexer.push(bytes.subarray(at, at + size)))
      out[piece.stream] = (out[piece.stream] ?? "") + text(piece.bytes);
  return out;
}

test.each([1, 2, 5, 8, 9, 1000])("frames split every %p bytes come out whole", (size) => {
  const bytes = Buffer.concat([frame(1, "one"), frame(2, "error"), frame(1, ""), frame(0, "two"), frame(2, "!")]);
  expect(split(bytes, size)).toEqual({ stdout: "onetwo", stderr: "error!" });
});

test("what follows in one stream comes as one piece, and streams keep their order", () => {
  const bytes = Buffer.concat([
    frame(1, "a"),
    frame(1, ""),
    frame(1, "bc"),
    frame(2, "d"),
    frame(2, "e"),
    frame(1, "f"),
  ]);
  const pieces = [...new Demultiplexer().push(bytes)].map((piece) => [piece.stream, text(piece.bytes)]);
  expect(pieces).toEqual([
    ["stdout", "abc"],
    ["stderr", "de"],
    ["stdout", "f"],
  ]);
});

test.each([3, 9])("output before the end of a stream by frame %i is given first", (last) => {
  const pieces: string[] = [];
  expect(() => {
    for (const { bytes } of new Demultiplexer().push(Buffer.concat([frame(1, "a"), frame(1, "b"), frame(last, "x")])))
      pieces.push(text(bytes));
  }).toThrow();
  expect(pieces).toEqual(["ab"]);
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

test.each([1, 7, 1000])("messages of our own are whole, in a stream that has them: every %p bytes", (size) => {
  const bytes = Buffer.concat([
    frame(16, '{"Id":"1"}'),
    frame(1, "out"),
    frame(17, "a"),
    frame(17, "b"),
    frame(18, "c"),
  ]);
  expect(split(bytes, size, true)).toEqual({ created: '{"Id":"1"}', stdout: "out", failed: "ab", exited: "c" });
  expect(() => split(bytes, size)).toThrow("unknown stream 16");
  expect(() => split(frame(19, "x"), size, true)).toThrow("unknown stream 19");
  expect(() => split(frame(3, "on fire"), size, true)).toThrow("error from daemon in stream: on fire");
});
