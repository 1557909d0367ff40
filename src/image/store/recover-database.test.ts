import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openOrRecover } from "./recover-database.ts";

test("where the copy cannot be taken, the damaged database stays where it is", () => {
  const root = mkdtempSync(join(tmpdir(), "lighter-recover-"));
  try {
    const path = join(root, "images.db");
    writeFileSync(path, "no database at all, of more bytes than the header of one has".repeat(10));
    const damaged = readFileSync(path);
    mkdirSync(`${path}.copy`); // a directory, which cannot be copied as a file
    expect(() => openOrRecover(root, { recover: true } as never)).toThrow();
    expect(readFileSync(path)).toEqual(damaged);
    expect(readdirSync(root).filter((name) => name.includes("damaged"))).toEqual([]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
