import { expect, test } from "bun:test";
import { encodeFrame, FRAME_KINDS, FRAME_MAX_BYTES, type Frame, FrameDecoder } from "./build-session.ts";

test("FrameDecoder reads what encodeFrame has written, in pieces of any size", () => {
  const frames: Frame[] = [
    { stream: 1, kind: FRAME_KINDS.open, payload: Buffer.from('{"kind":"secret"}') },
    { stream: 2 ** 32 - 1, kind: FRAME_KINDS.end, payload: new Uint8Array(0) },
    { stream: 7, kind: FRAME_KINDS.data, payload: new Uint8Array(300).fill(9) },
  ];
  const bytes = Buffer.concat(frames.map(encodeFrame));
  for (const size of [1, 5, 12, 13, 100, bytes.length]) {
    const decoder = new FrameDecoder();
    const read: Frame[] = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...decoder.push(bytes.subarray(at, at + size)));
    expect(read).toEqual(frames.map(({ payload, ...rest }) => ({ ...rest, payload: new Uint8Array(payload) })));
  }
});

test("FrameDecoder refuses kinds that there are not, and payloads beyond the limit", () => {
  const header = (kind: number, length: number) => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt32BE(kind, 4);
    bytes.writeUInt32BE(length, 8);
    return bytes;
  };
  expect(() => new FrameDecoder().push(header(6, 0))).toThrow("has the kind 6");
  expect(() => new FrameDecoder().push(header(3, FRAME_MAX_BYTES + 1))).toThrow("bytes");
  expect(new FrameDecoder().push(header(3, FRAME_MAX_BYTES))).toEqual([]);
});
