import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

test("signalProcesses leaves alone whose number was another's when it was read", async () => {
  const [meant, other] = [spawn("sleep", ["1000"]), spawn("sleep", ["1000"])];
  const ends = [meant, other].map((sleeper) => once(sleeper, "exit"));
  const thread = Number(readdirSync("/proc/self/task").find((number) => Number(number) !== process.pid));
  const lists = [
    [other.pid!, meant.pid!, thread],
    [meant.pid!, thread],
  ];
  expect(signalProcesses("", 15, () => lists.shift()!)).toBe(3);
  expect((await ends[0])![1]).toBe("SIGTERM");
  expect(lists).toEqual([]);
  expect(readFileSync(`/proc/${other.pid}/stat`, "utf8")).toMatch(/^\d+ \(.*\) [^ZX]/);
  other.kill("SIGKILL");
  expect((await ends[1])![1]).toBe("SIGKILL");
});
