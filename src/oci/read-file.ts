import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { LighterError } from "../base/errors.ts";

/**
 * A regular file's bytes. A FIFO in its place does not block us.
 * @throws LighterError ("invalid") if it is larger than `maxBytes` or no regular file; `ENOENT` and such as they are.
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
