import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readProcessStat } from "./process-stat.ts";

test("readProcessStat is not misled by a process's name", () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-process-stat-"));
  const script = join(folder, ") Z 1 (");
  writeFileSync(script, "#!/bin/sh\nread -r line\n");
  chmodSync(script, 0o755);
  const child = Bun.spawn([script], { stdin: "pipe" });
  try {
    const { state, parent, startTime } = readProcessStat(child.pid)!;
    expect(state).toMatch(/^[RSD]$/);
    expect(parent).toBe(process.pid);
    expect(startTime).toBeGreaterThanOrEqual(readProcessStat(process.pid)!.startTime);
  } finally {
    child.kill();
    rmSync(folder, { recursive: true });
  }
});

test("a process that is not there has none", () => {
  expect(readProcessStat(2 ** 22 + 1)).toBeUndefined(); // above pid_max's largest value
});
