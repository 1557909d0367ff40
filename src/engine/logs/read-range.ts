/** Reads parts of an open file without moving its position. */
import { read as readCallback } from "node:fs";
import { promisify } from "node:util";

export const readAt = promisify(readCallback);

const CHUNK_BYTES = 256 * 1024;

/** Reads the bytes of an open file between two offsets, as far as they exist. The caller may keep the chunks. */
export async function* readRange(fd: number, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - at));
    const { bytesRead } = await readAt(fd, chunk, 0, chunk.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}
