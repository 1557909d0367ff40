import { writeSync } from "node:fs";
import { utf8 } from "../base/bytes.ts";
import { errnoOf } from "../base/errors.ts";

/** How soon a fd that does not block, and was not ready, is tried again. */
export const RETRY_MS = 2;

/** Writes all of it. Blocks: a command of the runtime has nothing else to do meanwhile. */
export function writeAll(fd: number, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? utf8(content) : content;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
    } catch (error) {
      // The fd that we were given is non-blocking, and its reader is slow. There is no poll(2) at hand.
      if (errnoOf(error) === "EAGAIN") Bun.sleepSync(RETRY_MS);
      else if (errnoOf(error) !== "EINTR") throw error;
    }
  }
}

/** On stdout. */
export function print(text: string): void {
  writeAll(1, text);
}
