/** Writes files so that they survive a power cut. */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { writeFailure } from "./write-failure.ts";

/** Makes names created in, renamed within or removed from the directory survive a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Replaces a file as a whole: temp file beside it, fsync, rename, fsync of the folder. One writer at a time. On an error the old
 * content is in place and the temp file is gone.
 */
export async function writeFileDurably(path: string, content: string | Uint8Array): Promise<void> {
  const tempPath = `${path}.tmp`;
  try {
    const handle = await open(tempPath, "w", 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(tempPath, path);
  } catch (error) {
    await rm(tempPath, { force: true });
    throw writeFailure(path, error);
  }
  await syncDirectory(dirname(path));
}
