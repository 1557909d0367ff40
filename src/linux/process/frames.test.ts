import { expect, test } from "bun:test";
import { Random } from "../../../tests/support/random.ts";
import { EXIT_HEADER_BYTES, EXIT_MAX_CAPTURE_BYTES, FRAME } from "../program/format.ts";
import { encodeFrame, FRAME_HEADER_BYTES, FrameReader } from "./frames.ts";

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const FRAMES = [
  { kind: FRAME.STARTED, payload: Uint8Array.of(1, 2, 3, 4) },
  { kind: FRAME.CLOSE_STDIN, payload: new Uint8Array(0) },
  { kind: FRAME.EXITED, payload: new Uint8Array(300).map((_, index) => index) },
  { kind: FRAME.RESULT, payload: new Uint8Array(4) },
];
const BYTES = concat(FRAMES.map(({ kind, payload }) => encodeFrame(kind, payload)));

test("a frame is kind, three zero bytes, length in big-endian, payload", () => {
  expect([...encodeFrame(0x22, Uint8Array.of(9, 0, 0, 0))]).toEqual([0x22, 0, 0, 0, 0, 0, 0, 4, 9, 0, 0, 0]);
  expect([...encodeFrame(0x20)]).toEqual([0x20, 0, 0, 0, 0, 0, 0, 0]);
});

test("frames are the same however the bytes are cut: at every place", () => {
  for (let cut = 0; cut <= BYTES.length; cut++) {
    const reader = new FrameReader();
    expect([...reader.push(BYTES.subarray(0, cut)), ...reader.push(BYTES.subarray(cut))]).toEqual(FRAMES);
  }
});

test("frames are the same however the bytes are cut: byte for byte, and at random", () => {
  const random = Random.fromEnvironment("FrameReader");
  for (let round = 0; round < 50; round++) {
    const reader = new FrameReader();
    const frames = [];
    for (let at = 0; at < BYTES.length; ) {
      const length = round === 0 ? 1 : 1 + random.below(20);
      frames.push(...reader.push(BYTES.subarray(at, at + length)));
      at += length;
    }
    expect(frames).toEqual(FRAMES);
  }
});

test("a payload does not change when its chunk's memory is used again", () => {
  const chunk = encodeFrame(FRAME.STARTED, Uint8Array.of(1, 2, 3, 4));
  const [frame] = new FrameReader().push(chunk);
  chunk.fill(0xff);
  expect([...frame!.payload]).toEqual([1, 2, 3, 4]);
});

test("a frame longer than an exit record is refused before it is gathered", () => {
  const most = EXIT_HEADER_BYTES + EXIT_MAX_CAPTURE_BYTES;
  expect(new FrameReader().push(encodeFrame(FRAME.EXITED, new Uint8Array(most)))).toHaveLength(1);
  const header = encodeFrame(FRAME.EXITED, new Uint8Array(most + 1)).subarray(0, FRAME_HEADER_BYTES);
  expect(() => new FrameReader().push(header)).toThrow(expect.objectContaining({ code: "internal" }));
});
