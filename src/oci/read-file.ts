/** Reads files that callers name, within limits. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { errnoOf, LighterError } from "../base/errors.ts";
import { RETRY_MS } from "./output.ts";

/**
 * Reads a regular file. A FIFO in its place does not block.
 * @throws LighterError ("invalid") if it is larger than `maxBytes` or no regular file; `ENOENT` and such are passed on.
 */
export function readRegularFile(path: string, maxBytes: number): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new LighterError("invalid", `read "${path}": not a regular file`);
    if (stats.size > maxBytes) throw new LighterError("invalid", `read "${path}": larger than ${maxBytes} bytes`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Reads a file that a caller names. It may be a FIFO, such as a shell's `<(…)`: then it is read until its writers close it. */
export function readToEnd(path: string, maxBytes: number): Buffer {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    return readFdToEnd(fd, maxBytes, `read "${path}"`);
  } finally {
    closeSync(fd);
  }
}

const CHUNK_BYTES = 65536;

/** Reads a descriptor to its end. @throws LighterError ("invalid") if there are more than `maxBytes` bytes */
export function readFdToEnd(fd: number, maxBytes: number, what: string): Buffer {
  const chunks: Buffer[] = [];
  for (let size = 0; ; ) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let count = 0;
    try {
      count = readSync(fd, chunk);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      Bun.sleepSync(RETRY_MS); // a non-blocking pipe that is still empty
      continue;
    }
    if (count === 0) return Buffer.concat(chunks);
    size += count;
    if (size > maxBytes) throw new LighterError("invalid", `${what}: larger than ${maxBytes} bytes`);
    chunks.push(chunk.subarray(0, count));
  }
}
