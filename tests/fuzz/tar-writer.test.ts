import { expect, test } from "bun:test";
import type { TarEntry } from "../../src/image/tar/tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "../../src/image/tar/tar-writer.ts";
import type { BytePath } from "../../src/linux/sys/fs.ts";
import { Random } from "../support/random.ts";
import { readTar } from "../support/read-tar.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);

/** Any bytes but NUL, of any length that a path may have. */
function randomPath(random: Random): BytePath {
  const length = random.pick([1, 5, 99, 100, 101, 255, 1000, 4000]);
  return Array.from({ length }, () => String.fromCharCode(1 + random.below(255))).join("") as BytePath;
}

function randomEntry(random: Random): TarEntry {
  const type = random.pick(["file", "hardlink", "symlink", "char", "block", "directory", "fifo"] as const);
  const isDevice = type === "char" || type === "block";
  const number = (limits: readonly number[]) => random.below(2 ** random.pick(limits));
  return {
    type,
    // A file's path that ends in a slash is a directory's.
    path: `${randomPath(random)}${type === "directory" ? "/" : "x"}` as BytePath,
    linkPath: type === "symlink" || type === "hardlink" ? randomPath(random) : ("" as BytePath),
    mode: random.below(0o10000),
    uid: number([1, 20, 21, 22, 31]),
    gid: number([1, 20, 21, 22, 31]),
    size: type === "file" ? random.pick([0, 1, 511, 512, 513, 3000]) : 0,
    mtimeSeconds: number([1, 32]) * random.pick([1, -1, 1000]),
    mtimeNanoseconds: random.pick([0, 1, 500_000_000, 999_999_999]),
    deviceMajor: isDevice ? number([12]) : 0,
    deviceMinor: isDevice ? number([20]) : 0,
    xattrs: Array.from({ length: random.below(4) }, (_, index) => ({
      name: `user.${index}\xff ${random.below(1000)}`,
      value: Buffer.from(Array.from({ length: random.pick([0, 1, 90, 995]) }, () => random.below(256))),
    })),
  };
}

/** Of one shape, whoever made it. */
function plain({ content, ...entry }: TarEntry & { content: Uint8Array }): object {
  const xattrs = entry.xattrs.map(({ name, value }) => `${name}: ${Buffer.from(value).toString("hex")}`);
  return {
    ...entry,
    mtimeSeconds: entry.mtimeSeconds + 0,
    xattrs: xattrs.sort(),
    content: Buffer.from(content).toString("hex"),
  };
}

test("encodeTarHeader: the reader finds in a tar what was written into it", () => {
  const random = Random.fromEnvironment("tar-writer");
  const deadline = performance.now() + BUDGET_MS;
  while (performance.now() < deadline) {
    const entries = Array.from({ length: 1 + random.below(5) }, () => randomEntry(random)).map((entry) => ({
      ...entry,
      content: Buffer.alloc(entry.size, random.below(256)),
    }));
    const parts = entries.flatMap(({ content, ...entry }) => [
      encodeTarHeader(entry),
      content,
      Buffer.alloc(tarPaddingBytes(content.length)),
    ]);
    const archive = Buffer.concat([...parts, TAR_END]);
    expect(readTar(archive, random.pick([1, 511, 512, 100_000])).map(plain)).toEqual(entries.map(plain));
  }
});
