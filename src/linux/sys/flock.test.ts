import { expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockExclusiveWithin, tryLockExclusive } from "./flock.ts";

test("lockExclusiveWithin waits for whoever is about to let go, and no longer than it was told", async () => {
  const directory = mkdtempSync(join(tmpdir(), "lighter-flock-"));
  const [holder, waiter] = ["a", "a"].map((mode) => openSync(join(directory, "lock"), mode)) as [number, number];
  try {
    expect(tryLockExclusive(holder)).toBe(true);
    expect(await lockExclusiveWithin(waiter, 20)).toBe(false);
    const waiting = lockExclusiveWithin(waiter, 10_000);
    closeSync(holder);
    expect(await waiting).toBe(true);
  } finally {
    closeSync(waiter);
    rmSync(directory, { recursive: true });
  }
});
