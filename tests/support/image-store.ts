/** Reads what an image store has on disk, for tests. */
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { sha256 } from "./image-archive.ts";

/**
 * Makes a temporary directory below `LIGHTER_TEST_DIR`, which can hold overlayfs's upper directory even if the usual one is on an
 * overlay.
 */
export function makeTempDir(): string {
  return mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-image-"));
}

/**
 * Every path below `root` with its `lstat` and content, without times. `isLeftOut` chooses names directly below `root` to skip.
 */
export function snapshot(root: string, isLeftOut: (name: string) => boolean = () => false): string[] {
  const lines: string[] = [];
  const visit = (path: string, name: string): void => {
    const stat = lstatSync(path);
    const what = stat.isSymbolicLink()
      ? readlinkSync(path)
      : stat.isFile()
        ? sha256(readFileSync(path))
        : `${stat.isDirectory() ? "" : stat.rdev}`;
    lines.push(`${name} ${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${what}`);
    if (!stat.isDirectory()) return;
    const children = readdirSync(path).filter((child) => path !== root || !isLeftOut(child));
    for (const child of children.sort()) visit(join(path, child), `${name}/${child}`);
  };
  visit(root, ".");
  return lines;
}

/**
 * The store's files, without the database, whose bytes differ even after changes are undone, and without what is being deleted.
 */
export function storeSnapshot(root: string): string[] {
  return snapshot(root, (name) => name.startsWith("images.db") || name === ".removed");
}

export async function failureOf(run: () => Promise<unknown>, what = "it"): Promise<LighterError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof LighterError) return error;
    throw error;
  }
  throw new Error(`${what} succeeded`);
}

export async function* pieces(bytes: Uint8Array, size = 65536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
