import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

async function syncAndClose(handle: FileHandle): Promise<void> {
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes names created in, renamed within or removed from the directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  await syncAndClose(await open(path, "r"));
}

/** Replaces the file as a whole: temp file beside it, fsync, rename, fsync of the folder. One writer at a time. */
export async function writeFileDurably(path: string, content: string | Uint8Array): Promise<void> {
  const tempPath = `${path}.tmp`;
  const handle = await open(tempPath, "w", 0o600);
  try {
    await handle.writeFile(content);
  } catch (error) {
    await handle.close();
    throw error;
  }
  await syncAndClose(handle);
  await rename(tempPath, path);
  await syncDirectory(dirname(path));
}
