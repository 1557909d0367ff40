import { expect, test } from "bun:test";
import { FrameReader, frame } from "./length-framed.ts";

function readAll(stream: Uint8Array, size: number, maxBytes: number): Buffer[] | undefined {
  const reader = new FrameReader(maxBytes);
  const found: Buffer[] = [];
  for (let at = 0; at < stream.length; at += size) {
    const messages = reader.push(stream.subarray(at, at + size));
    if (messages === undefined) return undefined;
    found.push(...messages.map((message) => Buffer.from(message)));
  }
  return found;
}

test("FrameReader finds the same messages however the stream is cut", () => {
  const messages = [Buffer.from("twelve bytes"), Buffer.alloc(13), Buffer.alloc(300, 7), Buffer.alloc(65535, 1)];
  const stream = Buffer.concat(messages.map(frame));
  for (const size of [1, 2, 3, 7, 301, 4096, stream.length]) expect(readAll(stream, size, 65535)).toEqual(messages);
});

test("FrameReader refuses a message that is longer or shorter than it may be, before it has come", () => {
  const stream = Buffer.concat([frame(Buffer.alloc(20)), frame(Buffer.alloc(21))]);
  expect(readAll(stream, 1, 21)).toHaveLength(2);
  expect(readAll(stream.subarray(0, 24), 1, 20)).toBeUndefined();
  expect(readAll(Buffer.of(0, 12), 2, 20)).toEqual([]);
  expect(readAll(Buffer.of(0, 11), 2, 20)).toBeUndefined();
});
