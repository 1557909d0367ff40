import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../base/errors.ts";

/**
 * Bytes of the regular files below a directory, each file counted once. What is looked at may be changed meanwhile: what
 * has gone counts nothing.
 */
export async function measureTree(path: string): Promise<number> {
  return await measure(path, new Set());
}

async function measure(path: string, linked: Set<string>): Promise<number> {
  let bytes = 0;
  const entries = await readdir(path, { withFileTypes: true }).catch(ignoreMissing);
  for (const entry of entries ?? []) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) bytes += await measure(child, linked);
    else if (entry.isFile()) bytes += await sizeOf(child, linked);
  }
  return bytes;
}

async function sizeOf(path: string, linked: Set<string>): Promise<number> {
  const stat = await lstat(path).catch(ignoreMissing);
  if (stat === undefined) return 0;
  if (stat.nlink > 1) {
    const key = `${stat.dev}:${stat.ino}`;
    if (linked.has(key)) return 0;
    linked.add(key);
  }
  return stat.size;
}

function ignoreMissing(error: unknown): undefined {
  if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error))) throw error;
}
