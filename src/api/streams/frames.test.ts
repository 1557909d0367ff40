import { expect, test } from "bun:test";
import { FrameReader } from "../../engine/mod.ts";
import { encodeFrame } from "./frames.ts";

test("the headers of a multiplexed stream are left out wherever it is cut", () => {
  const bytes = Buffer.concat([encodeFrame("stdout", "out"), encodeFrame("stderr", ""), encodeFrame("stderr", "err")]);
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new FrameReader();
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(reader.push(bytes.subarray(at, at + size)));
    expect(Buffer.concat(pieces).toString()).toBe("outerr");
  }
});
