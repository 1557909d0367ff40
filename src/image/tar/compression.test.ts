import { expect, test } from "bun:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { compressStream, decompressStream } from "./compression.ts";

/** Chunks of many sizes, each valid only until the next is asked for. */
async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(700_000);
  for (let at = 0, size = 1; at < bytes.length; size = (size * 7) % 700_000) {
    const part = bytes.subarray(at, at + size);
    buffer.fill(0xff).set(part);
    yield buffer.subarray(0, part.length);
    at += size;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const collect = async (chunks: AsyncIterable<Uint8Array>) =>
  Buffer.concat((await Array.fromAsync(chunks)).map((chunk) => Buffer.from(chunk)));

for (const [name, unpack] of [
  ["gzip", gunzipSync],
  ["zstd", zstdDecompressSync],
] as const)
  test(`${name}: what is compressed comes out as it went in, and the same bytes give the same`, async () => {
    for (const size of [0, 1, 1024 * 1024, 5_000_001]) {
      const bytes = Buffer.alloc(size, "some text that repeats itself, and ");
      for (let at = 0; at < size; at += 4099) bytes.writeUInt8((at * 31) & 0xff, at);
      const compressed = await collect(compressStream(chunksOf(bytes), name));
      expect(unpack(compressed).equals(bytes)).toBe(true);
      expect((await collect(decompressStream(once(compressed)))).equals(bytes)).toBe(true);
      expect((await collect(compressStream(once(bytes), name))).equals(compressed)).toBe(true);
    }
  });
