import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signalProcesses } from "./signal-processes.ts";

test("signalProcesses reaches each process of a directory and those below it, however many, and passes over what has ended", async () => {
  const directory = mkdtempSync(join(tmpdir(), "lighter-signal-"));
  const sleepers = Array.from({ length: 70 }, () => spawn("sleep", ["1000"]));
  const ends = sleepers.map((sleeper) => once(sleeper, "exit"));
  const [ended] = sleepers.splice(0, 1);
  ended!.kill("SIGKILL");
  await ends.shift();
  const lines = (pids: (number | undefined)[]) => pids.map((pid) => `${pid}\n`).join("");
  mkdirSync(join(directory, "child"));
  writeFileSync(join(directory, "cgroup.procs"), lines([0, ended!.pid, ...sleepers.slice(1).map(({ pid }) => pid)]));
  writeFileSync(join(directory, "child/cgroup.procs"), lines([sleepers[0]!.pid]));
  expect(signalProcesses(directory, 15)).toBe(70);
  expect((await Promise.all(ends)).map(([, signal]) => signal)).toEqual(sleepers.map(() => "SIGTERM"));
  rmSync(directory, { recursive: true });
});
