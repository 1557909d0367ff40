import { expect, test } from "bun:test";
import { WEBSOCKET_FRAME_MAX_BYTES } from "../../base/limits.ts";
import { encodeFrame as encodeDockerFrame, FrameReader } from "./frames.ts";
import { encodeFrame, type Frame, FrameDecoder, ProtocolError } from "./websocket.ts";

/** As a client sends it. */
function masked(first: number, payload: Uint8Array, mask = [1, 2, 3, 4]): Buffer {
  const frame = encodeFrame(0, payload);
  const head = frame.subarray(0, frame.length - payload.length);
  head[0] = first;
  head[1]! |= 0x80;
  const bytes = payload.map((byte, index) => byte ^ mask[index & 3]!);
  return Buffer.concat([head, Buffer.from(mask), bytes]);
}

test("lengths of all three forms are written as RFC 6455 has them", () => {
  for (const [length, head] of [
    [0, [0x82, 0]],
    [125, [0x82, 125]],
    [126, [0x82, 126, 0, 126]],
    [65535, [0x82, 126, 255, 255]],
    [65536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ] as const)
    expect([...encodeFrame(2, Buffer.alloc(length)).subarray(0, -length || undefined)]).toEqual([...head]);
});

test("a client's frames are found wherever the bytes are cut", () => {
  const payloads = ["", "x", "y".repeat(126), "z".repeat(70_000)].map((text) => Buffer.from(text));
  const bytes = Buffer.concat(payloads.map((payload) => masked(0x82, payload)));
  for (const size of [1, 2, 7, 1000, bytes.length]) {
    const decoder = new FrameDecoder();
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.length; at += size)
      frames.push(...decoder.push(Buffer.from(bytes.subarray(at, at + size))));
    expect(frames.map(({ opcode, payload }) => [opcode, Buffer.compare(payload, payloads.shift()!) === 0])).toEqual([
      [2, true],
      [2, true],
      [2, true],
      [2, true],
    ]);
    payloads.push(...frames.map(({ payload }) => Buffer.from(payload)));
  }
});

test("what breaks the protocol is told with the status for the close frame", () => {
  const huge = Buffer.alloc(14);
  huge.set([0x82, 0xff]);
  huge.writeBigUInt64BE(BigInt(WEBSOCKET_FRAME_MAX_BYTES) + 1n, 2);
  for (const [bytes, status] of [
    [encodeFrame(2, Buffer.from("not masked")), 1002],
    [masked(0xc2, Buffer.alloc(0)), 1002], // reserved bit
    [masked(0x83, Buffer.alloc(0)), 1002], // opcode 3
    [masked(0x09, Buffer.alloc(0)), 1002], // a ping in pieces
    [masked(0x89, Buffer.alloc(126)), 1002], // a long ping
    [huge, 1009],
  ] as const) {
    let thrown: unknown;
    try {
      new FrameDecoder().push(Buffer.from(bytes));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProtocolError);
    expect(thrown).toMatchObject({ status });
  }
});

test("the headers of a multiplexed stream are left out wherever it is cut", () => {
  const bytes = Buffer.concat([
    encodeDockerFrame("stdout", "out"),
    encodeDockerFrame("stderr", ""),
    encodeDockerFrame("stderr", "err"),
  ]);
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new FrameReader();
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(reader.push(bytes.subarray(at, at + size)));
    expect(Buffer.concat(pieces).toString()).toBe("outerr");
  }
});
