import { afterAll, beforeAll, expect } from "bun:test";
import { closeSync, mkdirSync, openSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { LighterError } from "../../src/base/errors.ts";
import { LiveExtractor } from "../../src/image/tar/extract-live.ts";
import { TarReader } from "../../src/image/tar/tar-reader.ts";
import { LayerUnpacker } from "../../src/image/tar/unpack.ts";
import { type ArchiveEntry, decodeMessage, encodeMessage } from "../../src/image/worker/protocol.ts";
import { takeArchive } from "../../src/image/worker/take-archive.ts";
import type { BytePath } from "../../src/linux/sys/fs.ts";
import { makeTempDir, snapshot } from "../support/image-store.ts";
import { paxHeader, type RawHeader, rawEntry } from "../support/image-tar.ts";
import { Random } from "../support/random.ts";
import { testIf } from "../support/test-if.ts";

const test = testIf(process.getuid!() === 0, "needs root");

/** Wall time of each fuzz test. */
const BUDGET_MS = Number(process.env.FUZZ_MS ?? 3000);

let temp: string;
let outside: string;

beforeAll(() => {
  temp = makeTempDir();
  outside = join(temp, "outside");
  mkdirSync(join(outside, "dir"), { recursive: true });
  writeFileSync(join(outside, "secret"), "secret");
  symlinkSync("secret", join(outside, "link"));
});

afterAll(() => {
  rmSync(temp, { recursive: true });
});

/** Few names, so that entries collide, nest, and go through one another. */
const NAMES = ["a", "b", "c", "secret", "dir", ".wh.a", ".wh.b", ".wh..wh..opq", "..", ".", "", "\xff\xfe"];

function randomPath(random: Random): string {
  const parts = Array.from({ length: 1 + random.below(4) }, () => random.pick(NAMES));
  const start = random.below(8);
  if (start === 0) parts.unshift("");
  if (start === 1) parts.unshift("..", "..", "..", "outside");
  return parts.join("/");
}

function randomTarget(random: Random): string {
  const choices = [
    outside,
    join(outside, "secret"),
    "/",
    "..",
    "../..",
    "../../outside",
    ".",
    "/proc/self/root",
    "/proc/self/fd",
  ];
  return random.pick([outside, random.pick(choices), randomPath(random)]);
}

function randomEntry(random: Random): Buffer {
  const type = random.pick(["0", "0", "1", "2", "2", "3", "4", "5", "5", "6", "S", "7", "M"]);
  const header: RawHeader = {
    name: Buffer.from(randomPath(random), "latin1"),
    type,
    linkName: type === "1" || type === "2" ? randomTarget(random) : "",
    mode: random.pick([0o644, 0o755, 0o4755, 0o1777, 0, 0o2700]),
    uid: random.pick([0, 0, 1000, 100000]),
    gid: random.pick([0, 5]),
    devMajor: random.below(300),
    devMinor: random.below(300),
    content: type === "0" ? "x".repeat(random.below(1200)) : "",
    mtime: random.below(2 ** 31),
  };
  const entry = rawEntry(header);
  if (random.below(6) !== 0) return entry;
  const records = random.pick<Record<string, string>>([
    { path: randomPath(random) || "x" },
    { linkpath: randomTarget(random) || "x" },
    { "SCHILY.xattr.user.x": "v" },
    { "SCHILY.xattr.trusted.overlay.opaque": "y" },
    { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9000" },
    { "GNU.sparse.size": "9000", "GNU.sparse.map": "0,1,5000,2" },
    { size: `${random.below(2000)}` },
    { mtime: "-5.5" },
  ]);
  return Buffer.concat([paxHeader(records), entry]);
}

function mutate(random: Random, archive: Buffer): Buffer {
  const bytes = Buffer.from(archive);
  for (let i = random.below(4); i > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
  return random.below(4) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

function pushInPieces(random: Random, reader: TarReader, archive: Buffer): void {
  for (let at = 0; at < archive.length; ) {
    const length = 1 + random.below(2000);
    reader.push(archive.subarray(at, at + length));
    at += length;
  }
  reader.end();
}

/** Runs until the budget is used up. `run` may fail with a LighterError and nothing else. */
async function fuzz(what: string, run: (random: Random) => void | Promise<void>): Promise<void> {
  const random = Random.fromEnvironment(what);
  const end = performance.now() + BUDGET_MS;
  let [count, refused] = [0, 0];
  for (; performance.now() < end; count++) {
    try {
      await run(random);
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      refused++;
    }
  }
  console.log(`${what}: ${count} archives, ${refused} refused`);
  expect(count).toBeGreaterThan(20);
}

/** Both that write files. What is to be unpacked finds the tree as the archives before have left it. */
const UNPACKERS = {
  "a layer": (rootFd: number) => new LayerUnpacker(rootFd),
  "an upload": (rootFd: number, random: Random) => {
    const target = random.pick(["/", "/a", "/a/b", "/secret"]) as BytePath;
    const owner = random.pick([undefined, { uid: 7, gid: 8 }]);
    return new LiveExtractor(rootFd, target, { keepKinds: random.below(4) === 0, owner });
  },
};

for (const [what, open] of Object.entries(UNPACKERS))
  test(
    `unpacking any tar as ${what} touches nothing outside the root and keeps no fd`,
    async () => {
      const before = snapshot(outside);
      const fdOf = (): number => {
        const fd = openSync("/dev/null", "r");
        closeSync(fd);
        return fd;
      };
      const firstFreeFd = fdOf();
      let [count, taken] = [0, 0];
      await fuzz(`image-tar unpack ${what}`, async (random) => {
        const root = join(temp, `root-${count++}`);
        mkdirSync(root);
        const rootFd = openSync(root, "r");
        const unpacker = open(rootFd, random);
        try {
          // Entries that are refused would end a real load; here the next ones go on in the tree as it is.
          for (let i = random.below(25); i > 0; i--) {
            try {
              const reader = new TarReader(unpacker);
              reader.push(randomEntry(random));
              reader.end();
              taken++;
            } catch (error) {
              if (!(error instanceof LighterError)) throw error;
            }
          }
          const last = Array.from({ length: 1 + random.below(5) }, () => randomEntry(random));
          const archive = Buffer.concat([...last, Buffer.alloc(1024)]);
          pushInPieces(random, new TarReader(unpacker), random.below(2) === 0 ? mutate(random, archive) : archive);
          unpacker.finish();
        } finally {
          unpacker.close();
          closeSync(rootFd);
          await rm(root, { recursive: true });
        }
      });
      console.log(`image-tar unpack ${what}: ${taken} entries taken`);
      expect(taken).toBeGreaterThan(count);
      expect(snapshot(outside)).toEqual(before);
      expect(readlinkSync(join(outside, "link"))).toBe("secret");
      expect(fdOf()).toBe(firstFreeFd);
    },
    BUDGET_MS + 20_000,
  );

test(
  "the tar reader gives the same entries or the same refusal whatever the pieces, and never more data than the size",
  async () => {
    await fuzz("image-tar reader", (random) => {
      const parts = Array.from({ length: 1 + random.below(8) }, () => randomEntry(random));
      const archive = mutate(random, Buffer.concat([...parts, Buffer.alloc(1024)]));
      const read = (push: (reader: TarReader) => void): string[] => {
        const log: string[] = [];
        let size = 0;
        let [start, end] = [0, 0];
        const flush = (): void => {
          if (end > start) log.push(`${start}-${end}`);
        };
        const reader = new TarReader({
          entry: (entry) => {
            size = entry.size;
            [start, end] = [0, 0];
            log.push(`${entry.type} ${entry.path} ${entry.linkPath} ${entry.size} ${entry.xattrs.length}`);
          },
          data: (bytes, offset) => {
            expect(offset + bytes.length).toBeLessThanOrEqual(size);
            expect(offset).toBeGreaterThanOrEqual(end);
            if (offset !== end) {
              flush();
              start = offset;
            }
            end = offset + bytes.length;
          },
          endEntry: () => {
            flush();
            [start, end] = [0, 0];
          },
        });
        try {
          push(reader);
        } catch (error) {
          if (!(error instanceof LighterError)) throw error;
          log.push(error.message);
        }
        return log;
      };
      const whole = read((reader) => {
        reader.push(archive);
        reader.end();
      });
      expect(read((reader) => pushInPieces(random, reader, archive))).toEqual(whole);
    });
  },
  BUDGET_MS + 20_000,
);

test(
  "an archive of images is taken to pieces the same way whatever the pieces it comes in, into its directory alone",
  async () => {
    const before = snapshot(outside);
    let count = 0;
    let layers = 0;
    await fuzz("image-tar archive", async (random) => {
      const file = (): Buffer => {
        const tar = Buffer.concat([
          ...Array.from({ length: random.below(4) }, () => randomEntry(random)),
          Buffer.alloc(1024),
        ]);
        return random.pick([
          () => tar,
          () => gzipSync(tar),
          () => mutate(random, gzipSync(tar)),
          () => Buffer.from("{}"),
        ])();
      };
      const name = () => random.pick(["a", "b/layer.tar", `blobs/sha256/${"0".repeat(64)}`, "../x", "./c"]);
      const entries = Array.from({ length: 1 + random.below(5) }, () =>
        random.below(5) === 0 ? randomEntry(random) : rawEntry({ name: name(), content: file() }),
      );
      const archive = Buffer.concat([...entries, Buffer.alloc(1024)]);
      const bytes = random.below(3) === 0 ? mutate(random, archive) : archive;
      const take = async (pieces: AsyncIterable<Uint8Array>): Promise<unknown[]> => {
        const ingestPath = join(temp, `ingest-${count++}`);
        mkdirSync(ingestPath);
        const told: ArchiveEntry[] = [];
        let isRefused = false;
        try {
          await takeArchive({ kind: "archive", ingestPath, known: [] }, pieces, async (entry) => void told.push(entry));
        } catch (error) {
          if (!(error instanceof LighterError)) throw error;
          isRefused = true;
        }
        layers += told.filter((entry) => entry.kind === "file" && entry.file.layer !== undefined).length;
        for (const entry of told) {
          expect(entry.kind === "progress" ? "" : entry.name).not.toMatch(/(^|\/)\.\.(\/|$)/);
          if (entry.kind === "file") decodeMessage(encodeMessage({ type: "entry", entry }).trimEnd(), "archive");
        }
        await rm(ingestPath, { recursive: true });
        // How far it was told until then is the pieces', and so is which of several faults is met first: layers are unpacked meanwhile.
        if (isRefused) return ["refused"];
        // zlib's own reason for bad input depends on how much it had seen
        const shown = (entry: ArchiveEntry) =>
          JSON.stringify(entry, (key, value) => (key === "detail" ? undefined : value));
        return ["taken", ...told.filter(({ kind }) => kind !== "progress").map(shown)];
      };
      const whole = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes;
      };
      const cut = async function* (): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < bytes.length; ) {
          const length = 1 + random.below(2000);
          yield bytes.subarray(at, at + length);
          at += length;
        }
      };
      expect(await take(cut())).toEqual(await take(whole()));
    });
    expect(layers).toBeGreaterThan(0);
    expect(snapshot(outside)).toEqual(before);
  },
  BUDGET_MS + 40_000,
);
