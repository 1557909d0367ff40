/** Writes a command's output completely. */
import { writeSync } from "node:fs";
import { utf8 } from "../base/bytes.ts";
import { errnoOf } from "../base/errors.ts";

/** The pause before a non-blocking descriptor that was not ready is tried again. */
export const RETRY_MS = 2;

/** Writes all of the content. It blocks: a command of the runtime has nothing else to do meanwhile. */
export function writeAll(fd: number, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? utf8(content) : content;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
    } catch (error) {
      // The given descriptor is non-blocking, and its reader is slow. poll(2) is not available.
      if (errnoOf(error) === "EAGAIN") Bun.sleepSync(RETRY_MS);
      else if (errnoOf(error) !== "EINTR") throw error;
    }
  }
}

/** Writes text to stdout. */
export function print(text: string): void {
  writeAll(1, text);
}
