import { afterEach, beforeEach, expect, setSystemTime } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testIf } from "../../../tests/support/test-if.ts";
import { type BytePath, bytePath } from "../../linux/sys/fs.ts";
import { type FileRange, rangesOf } from "../../spec/file-range.ts";
import { TarReader } from "../tar/tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "../tar/tar-writer.ts";
import { fillLarge } from "./fill-large.ts";
import { readWhole } from "./source-tree.ts";
import { SpoolWriter } from "./spool-writer.ts";
import { SpooledTree } from "./spooled-tree.ts";

const EXT4_MAGIC = 0xef53;
const parent = process.env.LIGHTER_TEST_DIR ?? tmpdir();
const isRoot = process.getuid!() === 0;
const test = testIf(isRoot && statfsSync(parent).type === EXT4_MAGIC, "needs root and ext4");

const SIZE = 17_000_000; // two ranges
const known = new Map<string, string>();
const asked: string[] = [];
const memory = {
  find: (identity: string) => {
    asked.push(identity);
    return known.get(identity);
  },
  learn: (identity: string, digest: string) => void known.set(identity, digest),
};

let work: string;
let count = 0;

beforeEach(() => {
  work = mkdtempSync(join(parent, "lighter-recall-"));
  known.clear();
  asked.length = 0;
  setSystemTime(new Date(Date.now() + 120_000)); // what was written just now has settled
});

afterEach(() => {
  setSystemTime();
  rmSync(work, { recursive: true });
});

function file(name: string, fill: string): string {
  const path = join(work, name);
  writeFileSync(path, Buffer.alloc(SIZE, fill));
  return path;
}

/** Spools a context of one file, whose pieces are those of `parts`. */
function spool(parts: (ranges: FileRange[]) => (FileRange | Uint8Array)[], path: string) {
  const directory = join(work, `spool${count++}`);
  mkdirSync(directory);
  using writer = new SpoolWriter(directory, { known: memory });
  const reader = new TarReader(writer);
  const entry = {
    type: "file",
    path: "large" as BytePath,
    linkPath: "" as BytePath,
    mode: 0o640,
    uid: 0,
    gid: 0,
  } as const;
  const times = { mtimeSeconds: 1_600_000_000, mtimeNanoseconds: 0, deviceMajor: 0, deviceMinor: 0, xattrs: [] };
  reader.push(encodeTarHeader({ ...entry, ...times, size: SIZE }));
  const fd = openSync(path, "r");
  try {
    for (const part of parts([...rangesOf(fd, SIZE)])) "fd" in part ? reader.pushFile(part) : reader.push(part);
  } finally {
    closeSync(fd);
  }
  reader.push(new Uint8Array(tarPaddingBytes(SIZE)));
  reader.push(TAR_END);
  reader.end();
  writer.finish();
  return { directory, absent: writer.absent };
}

const whole = (ranges: FileRange[]) => ranges;
const hasBytes = (directory: string) => existsSync(join(directory, "0"));

function digestIn(directory: string): string | undefined {
  using tree = new SpooledTree(directory);
  return tree.find(bytePath("/large"))!.digest();
}

test("a large file that has stayed as it is is read once; its bytes can follow", async () => {
  const path = file("a", "a");
  const first = spool(whole, path);
  expect([first.absent, hasBytes(first.directory), known.size]).toEqual([[], true, 1]);
  const second = spool(whole, path);
  expect([second.absent, hasBytes(second.directory)]).toEqual([[{ number: 0, path: "large" }], false]);
  expect(digestIn(second.directory)).toBe(digestIn(first.directory));
  const pieces = (fill: string) =>
    (async function* () {
      for (let at = 0; at < SIZE; at += 1_000_000) yield Buffer.alloc(1_000_000, fill);
    })();
  const changed = fillLarge(second.directory, 0, pieces("b"), () => {});
  await expect(changed).rejects.toThrow("a file of the build context has changed since the build began");
  expect(hasBytes(second.directory)).toBe(false);
  await fillLarge(second.directory, 0, pieces("a"), () => {});
  using tree = new SpooledTree(second.directory);
  const entry = tree.find(bytePath("/large"))!;
  expect([entry.attributes().mode, readWhole(entry).equals(readFileSync(path))]).toEqual([0o640, true]);
});

test("a file that has changed, even back to its size and time, is read anew", () => {
  const path = file("a", "a");
  const first = spool(whole, path);
  writeFileSync(path, "b", { flag: "r+" });
  const second = spool(whole, path);
  expect([second.absent, asked.length, new Set(asked).size]).toEqual([[], 2, 2]);
  expect(digestIn(second.directory)).not.toBe(digestIn(first.directory));
  setSystemTime();
  writeFileSync(path, "c", { flag: "r+" }); // just now: the clock may not tell it from the next change
  expect(spool(whole, path).absent).toEqual([]);
  expect(asked).toHaveLength(2);
});

test("what is read from several files, or sent otherwise, is not taken for the content of one", () => {
  const [path, other] = [file("a", "a"), openSync(file("b", "b"), "r")];
  try {
    spool(([first, second]) => [first!, { ...second!, fd: other }], path);
    spool(([first, second]) => [first!, { ...second!, offset: 0 }], path);
    spool(([first, second]) => [first!, Buffer.alloc(second!.length)], path);
    spool(([first, second]) => [{ ...first!, offset: 1 }, second!], path);
    expect(known.size).toBe(0);
    spool(whole, path);
    expect(known.size).toBe(1);
    for (const parts of [
      ([first, second]: FileRange[]) => [first!, { ...second!, fd: other }],
      ([first, second]: FileRange[]) => [first!, Buffer.alloc(second!.length)],
    ])
      expect(() => spool(parts, path)).toThrow("a file of the build context has changed while it was sent");
  } finally {
    closeSync(other);
  }
});
