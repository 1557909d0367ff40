import { afterEach, expect, test } from "bun:test";
import { closeSync, readSync } from "node:fs";
import { FILE_OUTPUT_BYTES, FILE_SOCKET_BUFFER_BYTES } from "../base/limits.ts";
import { EAGAIN } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import { socketPair } from "../linux/sys/passed-fds.ts";
import { setSendBuffer } from "../linux/sys/socket-buffers.ts";
import { ChunkDecoder } from "../spec/chunk-decoder.ts";
import { JobWriter } from "./output.ts";

const MSG_DONTWAIT = 0x40;
const fds: number[] = [];

afterEach(() => {
  for (const fd of fds.splice(0)) closeSync(fd);
});

function pair(kind: "stream" | "packets"): [number, number] {
  const both = socketPair(kind);
  fds.push(...both);
  return both;
}

/** All that is in the socket, one buffer for each message. */
function messages(fd: number): Buffer[] {
  const buffer = Buffer.alloc(2 * FILE_SOCKET_BUFFER_BYTES);
  const all: Buffer[] = [];
  for (;;) {
    const length = tryCall("recvfrom", fd, buffer, buffer.length, MSG_DONTWAIT, null, null);
    if (length < 0) {
      expect(length).toBe(EAGAIN);
      return all;
    }
    all.push(Buffer.from(buffer.subarray(0, length)));
  }
}

const pieces = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, index) => Buffer.alloc(bytes, `piece ${index};`));

test("JobWriter sends small pieces together, and all of them in their order with those that are large", () => {
  const small = pieces(500, 100);
  for (const [form, perPiece] of [
    ["plain", 1],
    ["chunks", 3],
  ] as const) {
    const [reader, writer] = pair("packets");
    const output = new JobWriter(writer, form, () => {});
    const given = [...small, Buffer.alloc(FILE_OUTPUT_BYTES + 1, "large"), Buffer.alloc(0), ...small];
    for (const piece of given) output.write(piece);
    output.end();
    output.end();
    const sent = messages(reader);
    expect(sent.length).toBe(3 * perPiece);
    const bytes = Buffer.concat(sent);
    const payload = form === "plain" ? bytes : new ChunkDecoder().push(bytes).payload;
    expect(payload.equals(Buffer.concat(given))).toBe(true);
  }
});

test("setSendBuffer lets that much wait for a reader", () => {
  const [reader, writer] = pair("stream");
  const bytes = Buffer.alloc(FILE_SOCKET_BUFFER_BYTES);
  const send = () => tryCall("sendto", writer, bytes, bytes.length, MSG_DONTWAIT, null, 0);
  setSendBuffer(writer, 16 * 1024);
  const little = send();
  expect(little).toBeLessThan(bytes.length);
  for (let left = little; left > 0; ) left -= readSync(reader, Buffer.alloc(bytes.length));
  setSendBuffer(writer, 64 * 1024);
  expect(send()).toBeGreaterThan(little);
});
