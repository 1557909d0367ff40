import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatRfc3339 } from "../../base/time.ts";
import { writeCompressed } from "./compressed-log.ts";
import type { LogEntry } from "./log-entry.ts";
import { type LogQuery, readLogs } from "./read-logs.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-logs-"));
  path = join(directory, "x-json.log");
});

afterEach(() => rmSync(directory, { recursive: true }));

function line(log: string, second = 0, stream = "stdout"): string {
  return `${JSON.stringify({ log, stream, time: formatRfc3339(BigInt(second) * 1_000_000_000n) })}\n`;
}

const failOnDamage = (error: Error) => {
  throw error;
};

const ALL: LogQuery = { tail: Number.POSITIVE_INFINITY, signal: new AbortController().signal, onDamage: failOnDamage };

async function read(query: Partial<LogQuery> = {}): Promise<string[]> {
  const logs: string[] = [];
  for await (const entries of readLogs(path, { ...ALL, ...query })) logs.push(...entries.map(({ log }) => log));
  return logs;
}

function rotate(files: number): void {
  for (let index = files - 1; index > 0; index--)
    for (const ending of ["", ".gz"])
      try {
        renameSync(index === 1 ? path : `${path}.${index - 1}${ending}`, `${path}.${index}${ending}`);
      } catch {}
  writeFileSync(path, "");
}

/** In place of the plain file, or beside it. */
async function compress(number: number, keepPlain = false): Promise<void> {
  const plain = openSync(`${path}.${number}`, "r");
  const { ino } = fstatSync(plain, { bigint: true });
  await writeCompressed(plain, ino, `${path}.${number}.gz`, new AbortController().signal);
  closeSync(plain);
  if (!keepPlain) rmSync(`${path}.${number}`);
}

test("a log without a file is empty", async () => {
  expect(await read()).toEqual([]);
  expect(await read({ tail: 3 })).toEqual([]);
});

test("rotated files are read oldest first", async () => {
  writeFileSync(`${path}.2`, line("1") + line("2"));
  writeFileSync(`${path}.1`, line("3"));
  writeFileSync(path, line("4") + line("5"));
  expect(await read()).toEqual(["1", "2", "3", "4", "5"]);
});

test("tail takes the last lines across files, whatever their number", async () => {
  writeFileSync(`${path}.2`, line("1") + line("2"));
  writeFileSync(`${path}.1`, line("3"));
  writeFileSync(path, line("4") + line("5"));
  const all = ["1", "2", "3", "4", "5"];
  for (let tail = 0; tail <= 7; tail++) expect(await read({ tail })).toEqual(tail === 0 ? [] : all.slice(-tail));
});

test("compressed files are read like others, and once where there are both forms", async () => {
  writeFileSync(`${path}.3`, line("1", 1) + line("2", 2));
  writeFileSync(`${path}.2`, line("3", 3));
  writeFileSync(`${path}.1`, line("4", 4) + line("5", 5));
  writeFileSync(path, line("6", 6) + line("7", 7));
  await compress(3);
  await compress(2, true);
  await compress(1);
  const all = ["1", "2", "3", "4", "5", "6", "7"];
  for (let tail = 0; tail <= 9; tail++) expect(await read({ tail })).toEqual(tail === 0 ? [] : all.slice(-tail));
  expect(await read({ sinceNs: 2_000_000_000n, untilNs: 4_000_000_000n })).toEqual(["2", "3", "4"]);
});

test("tail finds its line in a compressed file of many chunks", async () => {
  const logs = Array.from({ length: 20_000 }, (_, index) => `${index} ${"x".repeat(index % 100)}`);
  writeFileSync(`${path}.1`, logs.map((log) => line(log)).join(""));
  writeFileSync(path, "");
  await compress(1);
  for (const tail of [1, 2, 9_999, 19_999, 20_000, 30_000]) expect(await read({ tail })).toEqual(logs.slice(-tail));
});

test.each([
  ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length - 100), 1],
  ["with other bytes in it", (bytes: Buffer) => bytes.fill(0, bytes.length - 200, bytes.length - 100), 1],
  ["with another sum", (bytes: Buffer) => bytes.fill(7, bytes.length - 8, bytes.length - 4), 1],
  ["that is no gzip", () => Buffer.from("garbage"), 0],
  ["that is empty", () => Buffer.alloc(0), 0],
] as const)("of a compressed file %s what can be read is, and the damage is told", async (_how, damage, least) => {
  const logs = Array.from({ length: 50_000 }, (_, index) => `${index} ${Math.sin(index)}`);
  writeFileSync(`${path}.1`, logs.map((log) => line(log)).join(""));
  writeFileSync(path, line("after"));
  await compress(1);
  writeFileSync(`${path}.1.gz`, damage(readFileSync(`${path}.1.gz`)));
  const told: string[] = [];
  const onDamage = ({ message }: Error) => told.push(message);
  const seen = await read({ onDamage });
  expect(told).toEqual([
    expect.stringMatching(/^error decompressing log file ".*\.1\.gz": gzip data is corrupt or cut short$/),
  ]);
  expect(seen.at(-1)).toBe("after");
  expect(seen.length - 1).toBeGreaterThanOrEqual(least);
  expect(seen.slice(0, -1)).toEqual(logs.slice(0, seen.length - 1));
  expect((await read({ onDamage, tail: 2 })).at(-1)).toBe("after");
});

test("tail finds its line when chunks are crossed", async () => {
  const logs = Array.from({ length: 5000 }, (_, index) => `${index} ${"x".repeat(index % 100)}`);
  writeFileSync(path, logs.map((log) => line(log)).join(""));
  for (const tail of [1, 2, 999, 4999, 5000, 6000]) expect(await read({ tail })).toEqual(logs.slice(-tail));
});

test("torn lines, garbage and monsters are skipped, and what follows is read", async () => {
  const monster = `{"log":"${"m".repeat(3 * 1024 * 1024)}","stream":"stdout","time":"2026-01-01T00:00:00Z"}\n`;
  writeFileSync(
    path,
    `${line("1")}{"log":"to\n\0\0\0\n${line("2")}[]\nnull\n{"log":5,"stream":"stdout","time":""}\n` +
      `{"log":"x","stream":"other","time":""}\n${monster}${line("3")}{"log":"unfinished`,
  );
  expect(await read()).toEqual(["1", "2", "3"]);
});

test("a log for kubelet is read, too: its parts of a line have no line break, and what is no line is skipped", async () => {
  const time = "2026-10-06T00:17:09.669794202Z";
  const lines = [`${time} stdout F out`, `${time} stderr P a par`, `${time} stderr F t \u00e4`, `${time} stdout F `];
  writeFileSync(
    path,
    `${lines.join("\n")}\n${time} stdin F x\n${time} stdout X x\n${time} stdout\n${time} stdout F to`,
  );
  const entries: LogEntry[] = [];
  for await (const batch of readLogs(path, ALL)) entries.push(...batch);
  expect(entries.map(({ stream, log }) => [stream, log])).toEqual([
    ["stdout", "out\n"],
    ["stderr", "a par"],
    ["stderr", "t \u00e4\n"],
    ["stdout", "\n"],
  ]);
  expect(entries[0]!.time).toBe(time);
});

test("what is written while the log is read is not part of it, unless it is followed", async () => {
  writeFileSync(path, line("1") + line("2"));
  const logs: string[] = [];
  for await (const entries of readLogs(path, ALL)) {
    logs.push(...entries.map(({ log }) => log));
    appendFileSync(path, line("late"));
  }
  expect(logs).toEqual(["1", "2"]);
});

test("since and until are inclusive and count nanoseconds", async () => {
  writeFileSync(path, [1, 2, 3, 4].map((second) => line(String(second), second)).join(""));
  expect(await read({ sinceNs: 2_000_000_000n, untilNs: 3_000_000_000n })).toEqual(["2", "3"]);
  expect(await read({ sinceNs: 2_000_000_001n })).toEqual(["3", "4"]);
  expect(await read({ untilNs: 1_999_999_999n })).toEqual(["1"]);
});

/** Follows the log; `until(n)` resolves when n entries have come. */
function follow(query: Partial<LogQuery> = {}) {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const logs: string[] = [];
  let wake = () => {};
  const done = (async () => {
    for await (const entries of readLogs(path, { ...ALL, followUntil: ended, ...query })) {
      logs.push(...entries.map(({ log }) => log));
      wake();
    }
  })();
  const until = async (count: number) => {
    while (logs.length < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
  };
  return { logs, done, end, until };
}

test("following sees a line that is written in two halves, then ends with the process", async () => {
  writeFileSync(path, line("1"));
  const { logs, done, end, until } = follow();
  await until(1);
  const second = line("2");
  appendFileSync(path, second.slice(0, 10));
  appendFileSync(path, second.slice(10));
  await until(2);
  appendFileSync(path, line("3"));
  end();
  await done;
  expect(logs).toEqual(["1", "2", "3"]);
});

test("following loses nothing over rotations, seen one by one or several at once", async () => {
  const { logs, done, end, until } = follow();
  const written: string[] = [];
  const write = (count: number) => {
    for (let i = 0; i < count; i++) {
      written.push(String(written.length));
      appendFileSync(path, line(written.at(-1)!));
    }
  };
  write(3);
  await until(3);
  rotate(5);
  write(2);
  await until(5);
  write(1);
  rotate(5);
  write(1);
  rotate(5);
  rotate(5);
  write(1);
  await until(8);
  end();
  await done;
  expect(logs).toEqual(written);
});

test("following goes on in files that were compressed while its reader was behind", async () => {
  writeFileSync(path, line("1"));
  const { promise: followUntil, resolve: end } = Promise.withResolvers<void>();
  const entries = readLogs(path, { ...ALL, followUntil });
  const first: LogEntry[] = (await entries.next()).value;
  const logs = first.map(({ log }) => log);
  appendFileSync(path, line("2"));
  rotate(5);
  appendFileSync(path, line("3"));
  await compress(1);
  rotate(5);
  appendFileSync(path, line("4"));
  await compress(1);
  end();
  for await (const batch of entries) logs.push(...batch.map(({ log }) => log));
  expect(logs).toEqual(["1", "2", "3", "4"]);
});

test("following with tail 0 begins with what is written next", async () => {
  writeFileSync(path, line("old"));
  const opened = follow({ tail: 0 });
  // It does not tell when it has looked where the end is: what is written before that is old, too.
  for (; opened.logs.length === 0; await Bun.sleep(1)) appendFileSync(path, line("new"));
  opened.end();
  await opened.done;
  expect(new Set(opened.logs)).toEqual(new Set(["new"]));
});

test("following ends when the client goes away or until has come", async () => {
  writeFileSync(path, line("1"));
  const controller = new AbortController();
  const aborted = follow({ signal: controller.signal });
  await aborted.until(1);
  controller.abort();
  await aborted.done;
  const timed = follow({ untilNs: BigInt(Date.now() + 20) * 1_000_000n });
  await timed.done;
  expect(timed.logs).toEqual(["1"]);
});
