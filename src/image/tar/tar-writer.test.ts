import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readTar } from "../../../tests/support/read-tar.ts";
import type { BytePath } from "../../linux/sys/fs.ts";
import type { TarEntry } from "./tar-reader.ts";
import { encodeTar, encodeTarHeader, plainTarEntry, TAR_END } from "./tar-writer.ts";

function entry(fields: Partial<Omit<TarEntry, "path" | "linkPath">> & { path?: string; linkPath?: string }): TarEntry {
  return { ...plainTarEntry({ path: "file", mode: 0o644, size: 0 }, 1_700_000_000), ...(fields as Partial<TarEntry>) };
}

const long = "d/".repeat(120);
const ENTRIES: Record<string, TarEntry> = {
  "a plain file": entry({}),
  "a path of 100 bytes": entry({ path: "x".repeat(100) }),
  "a path of 101 bytes": entry({ path: "x".repeat(101) }),
  "a path of 4000 bytes": entry({ path: `${"long/".repeat(800)}x` }),
  "a directory with a long path": entry({ type: "directory", path: long, mode: 0o1777 }),
  "a path that is no UTF-8": entry({ path: "\xff\xfe\n=" }),
  "a long path that is no UTF-8": entry({ path: "\xff".repeat(150) }),
  "a long link target": entry({ type: "symlink", linkPath: `/${long}`, mode: 0o777 }),
  "a long hard link": entry({ type: "hardlink", linkPath: `${long}x` }),
  "ids beyond 21 bits": entry({ uid: 2 ** 21, gid: 0xffff_fffe }),
  "ids of 21 bits": entry({ uid: 2 ** 21 - 1, gid: 2 ** 21 - 1 }),
  "set-id bits": entry({ mode: 0o6755 }),
  "a time before 1970": entry({ mtimeSeconds: -2 }),
  "a time before 1970 with a fraction": entry({ mtimeSeconds: -2, mtimeNanoseconds: 500_000_000 }),
  "the last nanosecond before 1970": entry({ mtimeSeconds: -1, mtimeNanoseconds: 999_999_999 }),
  "a time with nanoseconds": entry({ mtimeNanoseconds: 1 }),
  "a time beyond 33 bits": entry({ mtimeSeconds: 2 ** 33 }),
  devices: entry({ type: "block", deviceMajor: 4095, deviceMinor: 0xfffff }),
  "a fifo": entry({ type: "fifo" }),
  xattrs: entry({
    xattrs: [
      { name: "security.capability", value: Uint8Array.of(1, 0, 0, 2, 0, 0x3d, 0x0a) },
      { name: "user.empty", value: new Uint8Array() },
      { name: "user.\xfc", value: Buffer.alloc(970, 0x0a) },
    ],
  }),
};

for (const [what, written] of Object.entries(ENTRIES))
  test(`${what}: what is written is read again`, () => {
    const archive = Buffer.concat([encodeTarHeader(written), TAR_END]);
    expect(archive.length % 512).toBe(0);
    const [read, ...more] = readTar(archive);
    expect(more).toEqual([]);
    const { content, ...fields } = read!;
    expect(content.length).toBe(0);
    // xattr values come back as views of another kind.
    const plain = ({ xattrs, ...rest }: TarEntry) => ({
      ...rest,
      xattrs: xattrs.map(({ name, value }) => [name, Buffer.from(value).toString("hex")]),
    });
    const { xattrs: ofRead, ...restRead } = plain(fields);
    const { xattrs: ofWritten, ...restWritten } = plain(written);
    expect(restRead).toEqual(restWritten);
    expect(new Map(ofRead as [string, string][])).toEqual(new Map(ofWritten as [string, string][]));
  });

test("a size beyond 33 bits goes into a PAX record", () => {
  const header = encodeTarHeader(entry({ size: 2 ** 33 }));
  expect(header.toString("latin1")).toContain("19 size=8589934592\n");
  expect(header.length).toBe(3 * 512);
  expect(encodeTarHeader(entry({ size: 2 ** 33 - 1 })).length).toBe(512);
});

test("xattrs are written in the order of their names, whatever theirs is", () => {
  const [a, b] = ["a", "b"].map((name) => ({ name: `user.${name}`, value: Buffer.from(name) }));
  expect(encodeTarHeader(entry({ xattrs: [a!, b!] }))).toEqual(encodeTarHeader(entry({ xattrs: [b!, a!] })));
});

test("a path with a NUL, and content of what has none, are bugs of the caller", () => {
  expect(() => encodeTarHeader(entry({ path: "a\0b" }))).toThrow("without NUL");
  expect(() => encodeTarHeader(entry({ path: "" as BytePath }))).toThrow("without NUL");
  const xattrs = [{ name: "user.a=b", value: new Uint8Array() }];
  expect(() => encodeTarHeader(entry({ xattrs }))).toThrow('no "="');
  expect(() => encodeTarHeader(entry({ type: "fifo", size: 1 }))).toThrow("a fifo in a tar has no content");
});

test("GNU tar lists an archive as it was meant", () => {
  const files = [
    { path: "dir/", mode: 0o755 },
    { path: `dir/${"n".repeat(150)}`, mode: 0o600, content: Buffer.from("some content") },
    { path: "empty", mode: 0o4755, content: Buffer.alloc(0) },
    { path: "block", mode: 0o644, content: Buffer.alloc(512) },
  ];
  const { stdout, stderr, status } = spawnSync("tar", ["--utc", "--numeric-owner", "-tvf", "-"], {
    input: encodeTar(files, 1_700_000_000),
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(stdout.replace(/ +/g, " ").trim().split("\n")).toEqual([
    "drwxr-xr-x 0/0 0 2023-11-14 22:13 dir/",
    `-rw------- 0/0 12 2023-11-14 22:13 dir/${"n".repeat(150)}`,
    "-rwsr-xr-x 0/0 0 2023-11-14 22:13 empty",
    "-rw-r--r-- 0/0 512 2023-11-14 22:13 block",
  ]);
});
