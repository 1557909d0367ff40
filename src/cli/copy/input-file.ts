/** Reads archives from a file or from stdin, as chunks for an upload. */
import { closeSync, openSync, readSync } from "node:fs";
import { CliError } from "../exit.ts";
import { errnoText } from "../values/env-file.ts";

/** Reads are large because each costs a system call and a chunk header. */
const READ_BYTES = 1024 * 1024;

export async function* stdinChunks(): AsyncGenerator<Uint8Array> {
  const reader = Bun.stdin.stream().getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
}

/**
 * Opens the file at once and reads it later. A chunk is valid until the next one is requested.
 * @throws CliError that names the file
 */
export function fileChunks(path: string): AsyncIterable<Uint8Array> {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw new CliError(`open ${path}: ${errnoText(cause)}`);
  }
  return readChunks(path, fd);
}

async function* readChunks(path: string, fd: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(READ_BYTES);
  try {
    for (;;) {
      const count = readSync(fd, buffer);
      if (count === 0) return;
      yield buffer.subarray(0, count);
    }
  } catch (cause) {
    throw new CliError(`read ${path}: ${errnoText(cause)}`);
  } finally {
    closeSync(fd);
  }
}
