/** Completes a spooled context that was made without the bytes of a large file. */
import { createHash } from "node:crypto";
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { writeFailure } from "../store/write-failure.ts";
import { setAttributes } from "../tar/make-entry.ts";
import { SpooledTree } from "./spooled-tree.ts";

/** Writes the large file of a number. @throws LighterError "invalid" if the bytes are not those that the context has the digest of */
export async function fillLarge(
  spoolPath: string,
  number: number,
  pieces: AsyncIterable<Uint8Array>,
  beat: () => void,
): Promise<void> {
  using tree = new SpooledTree(spoolPath);
  const entry = tree.entryOfLarge(number);
  const path = join(spoolPath, `${number}`);
  const fd = openSync(path, "wx", 0o600);
  try {
    const hash = createHash("sha256");
    for await (const bytes of pieces) {
      write(fd, bytes);
      hash.update(bytes);
      beat();
    }
    if (hash.digest("hex") !== entry.digest())
      throw new LighterError("invalid", "a file of the build context has changed since the build began");
    setAttributes(fd, entry.attributes(), path);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(fd);
  }
}

function write(fd: number, bytes: Uint8Array): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  } catch (error) {
    throw writeFailure("the build's context", error);
  }
}
