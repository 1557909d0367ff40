import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { until } from "../../../tests/support/eventually.ts";
import { observeWritePoints } from "../../base/write-point.ts";
import type { Container } from "../container.ts";
import { LogCompressor } from "./compress-logs.ts";

let directory: string;
let path: string;
let rotated: () => void;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-compress-"));
  path = join(directory, "x-json.log");
  writeFileSync(path, "current\n");
});

afterEach(() => {
  observeWritePoints(() => {});
  rmSync(directory, { recursive: true, force: true });
});

function container(Config: Record<string, string>): Container {
  const supervised = {
    onLogRotated(act: () => void) {
      rotated = act;
    },
  };
  const record = { hostConfig: { LogConfig: { Type: "json-file", Config } } };
  return { id: "x", record, supervised } as unknown as Container;
}

const compressed = container({ compress: "true" });

function names(): string[] {
  return readdirSync(directory)
    .map((name) => name.replace("x-json.log", ""))
    .sort();
}

function unzipped(number: number): string {
  return gunzipSync(readFileSync(`${path}.${number}.gz`)).toString();
}

async function untilNames(expected: string[]): Promise<void> {
  await until(() => JSON.stringify(names()) === JSON.stringify(expected), `the files are ${expected}`);
}

/** Runs `act` at the first write point of that name. */
function at(point: string, act: () => void): void {
  let done = false;
  observeWritePoints((name) => {
    if (name !== point || done) return;
    done = true;
    act();
  });
}

test("what is rotated is compressed, then and later, and other tools can read it", async () => {
  writeFileSync(`${path}.1`, "one\n");
  writeFileSync(`${path}.2`, "two\n".repeat(100_000));
  const compressor = new LogCompressor();
  compressor.begin(compressed, path);
  await untilNames(["", ".1.gz", ".2.gz"]);
  expect([unzipped(1), unzipped(2)]).toEqual(["one\n", "two\n".repeat(100_000)]);
  renameSync(`${path}.2.gz`, `${path}.3.gz`);
  renameSync(`${path}.1.gz`, `${path}.2.gz`);
  writeFileSync(`${path}.1`, "new\n");
  rotated();
  await untilNames(["", ".1.gz", ".2.gz", ".3.gz"]);
  expect([unzipped(1), unzipped(2)]).toEqual(["new\n", "one\n"]);
  await compressor.stop();
});

test("without the option nothing is compressed", async () => {
  writeFileSync(`${path}.1`, "one\n");
  const other = join(directory, "y-json.log");
  writeFileSync(`${other}.1`, "one\n");
  const compressor = new LogCompressor();
  compressor.begin(container({ compress: "false" }), path);
  compressor.begin(compressed, other); // its turn would come after
  await until(() => existsSync(`${other}.1.gz`), "the other log is compressed");
  expect(existsSync(`${path}.1.gz`)).toBe(false);
  await compressor.stop();
});

test("a file that gets another number meanwhile keeps it", async () => {
  writeFileSync(`${path}.1`, "one\n");
  at("compressed log", () => {
    renameSync(`${path}.1`, `${path}.2`);
    writeFileSync(`${path}.1`, "newer\n");
  });
  const compressor = new LogCompressor();
  compressor.begin(compressed, path);
  await untilNames(["", ".1.gz", ".2.gz"]);
  expect([unzipped(1), unzipped(2)]).toEqual(["newer\n", "one\n"]);
  await compressor.stop();
});

test("a file that goes meanwhile does not come back", async () => {
  writeFileSync(`${path}.1`, "one\n");
  const { promise, resolve } = Promise.withResolvers<void>();
  at("compressed log", () => {
    rmSync(`${path}.1`);
    resolve();
  });
  const compressor = new LogCompressor();
  compressor.begin(compressed, path);
  await promise;
  await compressor.finish(compressed);
  expect(names()).toEqual([""]);
});

test("what a daemon left that was killed is finished: half a file, and both forms of one", async () => {
  writeFileSync(`${path}.1`, "one\n");
  writeFileSync(`${path}.1.gz`, "whatever");
  writeFileSync(`${path}.compressing`, "half");
  const compressor = new LogCompressor();
  compressor.begin(compressed, path);
  await untilNames(["", ".1.gz"]);
  expect(unzipped(1)).toBe("one\n");
  await compressor.stop();
});

test("before a removal it ends early, and leaves the plain file", async () => {
  writeFileSync(`${path}.1`, "one\n".repeat(1_000_000));
  const compressor = new LogCompressor();
  const { promise, resolve } = Promise.withResolvers<void>();
  at("compress log", resolve);
  compressor.begin(compressed, path);
  await promise;
  await compressor.finish(compressed);
  expect(names()).toEqual(["", ".1"]);
});
