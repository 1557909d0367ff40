import { expect, test } from "bun:test";
import { paxHeader, paxRecord, type RawHeader, rawEntry, rawTar } from "../../../tests/support/image-tar.ts";
import { type ReadEntry, readTar } from "../../../tests/support/read-tar.ts";
import { LighterError } from "../../base/errors.ts";
import { TAR_SPECIAL_MAX_BYTES } from "../../base/limits.ts";
import type { TarEntry } from "./tar-reader.ts";

function failure(archive: Uint8Array): string {
  try {
    readTar(archive);
  } catch (error) {
    expect(error).toBeInstanceOf(LighterError);
    expect((error as LighterError).code).toBe("invalid");
    return (error as LighterError).message;
  }
  throw new Error("the archive was accepted");
}

function one(...parts: (RawHeader | Buffer)[]): ReadEntry {
  const entries = readTar(rawTar(...parts));
  expect(entries.length).toBe(1);
  return entries[0]!;
}

test("a ustar entry has its name with prefix, mode, owner, time and content", () => {
  const entry = one({
    name: "name",
    prefix: "a/long/prefix",
    mode: 0o4755,
    uid: 1000,
    gid: 100,
    mtime: 1234,
    content: "hello",
  });
  expect(entry).toMatchObject({ type: "file", path: "a/long/prefix/name", mode: 0o4755, uid: 1000, gid: 100, size: 5 });
  expect([entry.mtimeSeconds, entry.mtimeNanoseconds, String(entry.content)]).toEqual([1234, 0, "hello"]);
});

test("the same entries come out whatever the sizes of the pieces", () => {
  const archive = rawTar(
    { name: "a", content: "x".repeat(1000) },
    paxHeader({ path: "long".repeat(50) }),
    { name: "b", content: "y".repeat(512) },
    { name: "dir/", type: "5" },
  );
  const whole = readTar(archive);
  expect(whole.map((entry) => entry.path as string)).toEqual(["a", "long".repeat(50), "dir/"]);
  for (const step of [1, 7, 511, 512, 513, 1024]) expect(readTar(archive, step)).toEqual(whole);
});

test("every type flag maps to its type, and an unknown one is refused", () => {
  const types = { "0": "file", "\0": "file", "7": "file", "1": "hardlink", "2": "symlink" } as const;
  for (const [flag, type] of Object.entries({ ...types, "3": "char", "4": "block", "5": "directory", "6": "fifo" }))
    expect(one({ type: flag, linkName: "target" }).type).toBe(type as TarEntry["type"]);
  expect(failure(rawTar({ type: "M" }))).toContain('unknown type "M"');
});

test("a V7 file whose name ends in a slash is a directory", () => {
  expect(one({ name: "old/", magic: "\0\0\0\0\0\0\0\0", type: "\0" }).type).toBe("directory");
});

test("a hard link's size is ignored: it has no data", () => {
  const entries = readTar(rawTar({ type: "1", linkName: "x", size: 4096 }, { name: "next", content: "n" }));
  expect(entries.map((entry) => [entry.path as string, entry.size])).toEqual([
    ["file", 0],
    ["next", 1],
  ]);
});

test("GNU long names and long link targets replace the header's", () => {
  const entry = one(
    rawEntry({ name: "././@LongLink", type: "L", content: `${"n".repeat(300)}\0` }),
    rawEntry({ name: "././@LongLink", type: "K", content: `${"t".repeat(200)}\0` }),
    { name: "cut", type: "2", linkName: "cut", magic: "ustar  \0" },
  );
  expect([entry.path as string, entry.linkPath as string]).toEqual(["n".repeat(300), "t".repeat(200)]);
});

test("PAX records override path, linkpath, ids, mtime, size and bring xattrs", () => {
  const entry = one(
    paxHeader({
      path: "päth",
      uid: "70000",
      gid: "4294967294",
      mtime: "12.5",
      size: "3",
      "SCHILY.xattr.security.capability": Uint8Array.of(1, 0, 10, 61),
      comment: "ignored",
    }),
    { size: "00000000000", content: "abc" },
  );
  expect(entry.path as string).toBe(Buffer.from("päth").toString("latin1"));
  expect([entry.uid, entry.gid, entry.mtimeSeconds, entry.mtimeNanoseconds]).toEqual([70000, 4294967294, 12, 5e8]);
  expect(String(entry.content)).toBe("abc");
  expect(entry.xattrs).toEqual([{ name: "security.capability", value: new Uint8Array([1, 0, 10, 61]) }]);
});

test("PAX records hold for one entry only, an empty one takes itself back, a global one is ignored", () => {
  const global = rawEntry({ type: "g", content: paxRecord("path", "global") });
  const entries = readTar(
    rawTar(
      global,
      paxHeader({ path: "one" }),
      { name: "x" },
      { name: "two" },
      rawEntry({ type: "x", content: Buffer.concat([paxRecord("path", "y"), paxRecord("path", "")]) }),
      { name: "three" },
    ),
  );
  expect(entries.map((entry) => entry.path as string)).toEqual(["one", "two", "three"]);
});

test("a negative time with a fraction rounds towards the past", () => {
  const entry = one(paxHeader({ mtime: "-1.25" }), {});
  expect([entry.mtimeSeconds, entry.mtimeNanoseconds]).toEqual([-2, 75e7]);
});

test("base-256 numbers are read, and refused beyond 2^53", () => {
  const big = Buffer.alloc(12);
  big[0] = 0x80;
  big.writeUInt32BE(5, 8);
  expect(one({ size: big, content: "12345" }).size).toBe(5);
  const uid = Buffer.from([0x80, 0, 0, 0, 0, 1, 0x86, 0xa0]);
  expect(one({ patches: [[108, uid]] }).uid).toBe(100_000);
  expect(failure(rawTar({ size: Buffer.alloc(12, 0x9f) }))).toContain("out of range");
  expect(failure(rawTar({ size: Buffer.alloc(12, 0xff) }))).toContain("out of range");
});

test("ids that chown(2) cannot take are refused", () => {
  expect(failure(rawTar(paxHeader({ uid: "4294967295" }), {}))).toContain("uid 4294967295");
  expect(failure(rawTar(paxHeader({ gid: "-1" }), {}))).toContain("not a number");
});

test("malformed headers are refused", () => {
  expect(failure(rawTar({ checksum: "000000\0 " }))).toContain("checksum");
  expect(failure(rawTar({ size: "xyz" }))).toContain("not a number");
  expect(failure(rawTar({ name: "" }))).toContain("no valid name");
  expect(failure(rawTar(paxHeader({ path: "a\0b" }), {}))).toContain("no valid name");
  expect(failure(rawTar(rawEntry({ type: "x", content: "5 a\n" }), {}))).toContain("malformed PAX");
  expect(failure(rawTar(rawEntry({ type: "x", content: "99 path=x\n" }), {}))).toContain("malformed PAX");
  expect(failure(Buffer.concat([rawEntry({}), Buffer.alloc(512), rawEntry({})]))).toContain("after a zero block");
});

test("an archive cut short is refused wherever the cut is inside an entry, and may lack its padding and its zero blocks", () => {
  const archive = rawEntry({ content: "x".repeat(700) });
  for (const length of [1212, 1300, archive.length]) expect(readTar(archive.subarray(0, length)).length).toBe(1);
  for (const length of [1, 511, 512, 600, 1211]) expect(failure(archive.subarray(0, length))).toContain("middle");
  expect(failure(paxHeader({ path: "x" }))).toContain("middle");
});

test("a special header beyond its limit is refused by name before its bytes are taken", () => {
  for (const type of ["x", "L", "g"])
    expect(failure(rawEntry({ type, size: TAR_SPECIAL_MAX_BYTES + 1 }))).toContain(`${TAR_SPECIAL_MAX_BYTES}`);
});

const sparseContent = (): Buffer => {
  const content = Buffer.alloc(3000);
  content.write("first", 0);
  content.write("second", 2000);
  return content;
};

test("sparse files of PAX formats 0.0, 0.1 and 1.0 and of old GNU tar have their holes", () => {
  const data = "firstsecond";
  const sizes = { "GNU.sparse.size": "3000", "GNU.sparse.numblocks": "2" };
  const pairs = ["0", "5", "2000", "6"];
  const format00 = rawEntry({
    type: "x",
    content: Buffer.concat([
      paxRecord("GNU.sparse.size", "3000"),
      ...pairs.map((value, i) => paxRecord(i % 2 === 0 ? "GNU.sparse.offset" : "GNU.sparse.numbytes", value)),
    ]),
  });
  const format01 = paxHeader({ ...sizes, "GNU.sparse.map": pairs.join(","), "GNU.sparse.name": "real" });
  const format10 = paxHeader({
    "GNU.sparse.major": "1",
    "GNU.sparse.minor": "0",
    "GNU.sparse.name": "real",
    "GNU.sparse.realsize": "3000",
  });
  const map = Buffer.alloc(512);
  map.write("2\n0\n5\n2000\n6\n");
  const octal = (value: number): Buffer => Buffer.from(`${value.toString(8).padStart(11, "0")}\0`);
  const patches: [number, Uint8Array][] = [
    [386, Buffer.concat([octal(0), octal(5), octal(2000), octal(6)])],
    [483, octal(3000)],
  ];
  const cases: [string, (RawHeader | Buffer)[]][] = [
    ["0.0", [format00, { content: data }]],
    ["0.1", [format01, { content: data }]],
    ["1.0", [format10, { content: Buffer.concat([map, Buffer.from(data)]) }]],
    ["old", [{ type: "S", magic: "ustar  \0", patches, content: data }]],
  ];
  for (const [name, parts] of cases) {
    const archive = rawTar(...parts, { name: "next", content: "n" });
    for (const step of [archive.length, 100]) {
      const entries = readTar(archive, step);
      expect([name, entries.length]).toEqual([name, 2]);
      expect(entries[0]!.content.equals(sparseContent())).toBe(true);
      expect(String(entries[1]!.content)).toBe("n");
    }
  }
});

test("an old GNU sparse map goes on in further blocks", () => {
  const octal = (value: number): Buffer => Buffer.from(`${value.toString(8).padStart(11, "0")}\0`);
  const regions = Array.from({ length: 10 }, (_, i) => [octal(i * 100), octal(1)]).flat();
  const header = rawEntry({
    type: "S",
    magic: "ustar  \0",
    size: 10,
    patches: [
      [386, Buffer.concat(regions.slice(0, 8))],
      [482, Uint8Array.of(1)],
      [483, octal(1000)],
    ],
  });
  const more = Buffer.alloc(512);
  more.set(Buffer.concat(regions.slice(8)));
  const data = Buffer.alloc(512);
  data.write("0123456789");
  const [entry] = readTar(Buffer.concat([header, more, data, Buffer.alloc(1024)]));
  expect(entry!.size).toBe(1000);
  for (let i = 0; i < 10; i++) expect(entry!.content[i * 100]).toBe(0x30 + i);
});

test("sparse maps that overlap, leave the file or do not add up are refused", () => {
  const bad = (map: string, content = "0123456789"): string =>
    failure(rawTar(paxHeader({ "GNU.sparse.size": "100", "GNU.sparse.map": map }), { content }));
  expect(bad("10,5,12,5")).toContain("overlaps");
  expect(bad("95,10")).toContain("leaves the file");
  expect(bad("0,5")).toContain("add up");
  expect(bad("0,5,10")).toContain("incomplete");
  expect(bad("0,x")).toContain("not a number");
});
