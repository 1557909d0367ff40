import { expect, test } from "bun:test";
import { type TarEntry, TarReader } from "../../image/tar/tar-reader.ts";
import { encodeTarHeader, plainTarEntry, TAR_END, tarPaddingBytes } from "../../image/tar/tar-writer.ts";
import { repackRoot } from "./repack.ts";

function entry(path: string, more: Partial<TarEntry> & { content?: string } = {}): Uint8Array[] {
  const { content = "", ...fields } = more;
  const header = { ...plainTarEntry({ path, mode: 0o755, size: content.length }, 0), ...fields };
  return [encodeTarHeader(header), Buffer.from(content), new Uint8Array(tarPaddingBytes(content.length))];
}

interface Seen extends Pick<TarEntry, "type" | "path" | "linkPath" | "uid" | "gid" | "size" | "xattrs"> {
  text: string;
}

async function repacked(rootPath: string, ...entries: Uint8Array[][]): Promise<{ seen: Seen[]; hasInit: boolean }> {
  const archive = Buffer.concat([...entries.flat(), TAR_END]);
  async function* pieces() {
    for (let at = 0; at < archive.length; at += 700) yield archive.subarray(at, at + 700);
  }
  const seen: Seen[] = [];
  const reader = new TarReader({
    entry: ({ type, path, linkPath, uid, gid, size, xattrs }) =>
      seen.push({ type, path, linkPath, uid, gid, size, xattrs, text: "" }),
    data: (bytes) => {
      seen.at(-1)!.text += Buffer.from(bytes).toString();
    },
    endEntry: () => {},
  });
  const repacking = { rootPath, hasInit: false };
  for await (const chunk of repackRoot(pieces(), repacking)) reader.push(new Uint8Array(chunk));
  reader.end();
  return { seen, hasInit: repacking.hasInit };
}

test("repackRoot takes the root alone, and names its links anew", async () => {
  const content = "x".repeat(3000);
  const { seen, hasInit } = await repacked(
    "rootfs/",
    entry("metadata.yaml", { content: "a: b" }),
    entry("./rootfs/"),
    entry("./rootfs/sbin/init", { content }),
    entry("rootfs/sbin/telinit", { type: "hardlink", linkPath: "rootfs/sbin/init" as never }),
    entry("rootfs/lib", { type: "symlink", linkPath: "rootfs/x" as never }),
    entry("rootfs/dev/"),
    entry("rootfs/dev/sda", { type: "block", deviceMajor: 8 }),
    entry("rootfs-not/x"),
  );
  expect(seen.map(({ path, linkPath, text }) => [`${path}`, `${linkPath}`, text.length])).toEqual([
    ["./", "", 0],
    ["sbin/init", "", 3000],
    ["sbin/telinit", "sbin/init", 0],
    ["lib", "rootfs/x", 0],
    ["dev/", "", 0],
  ]);
  expect(seen[1]!.text).toBe(content);
  expect(hasInit).toBe(true);
});

test("repackRoot gives files the ids that they have inside", async () => {
  const capability = Buffer.from("0100000302000000000000000000000000000000a0860100", "hex"); // root is 100000
  const owned = (path: string, uid: number, gid = uid) => entry(path, { uid, gid });
  const { seen } = await repacked(
    "rootfs/",
    owned("rootfs/", 100000),
    entry("rootfs/a", { uid: 101000, gid: 100005, xattrs: [{ name: "security.capability", value: capability }] }),
    owned("rootfs/b", 0),
    owned("rootfs/c", 165536),
  );
  expect(seen.map(({ path, uid, gid }) => [`${path}`, uid, gid])).toEqual([
    ["./", 0, 0],
    ["a", 1000, 5],
    ["b", 65534, 65534],
    ["c", 65534, 65534],
  ]);
  expect(Buffer.from(seen[1]!.xattrs[0]!.value).toString("hex")).toBe("0100000202000000000000000000000000000000");
});

test.each(["rootfs/", ""])(
  "repackRoot leaves ids in %p alone where the root is an ordinary user's",
  async (rootPath) => {
    const entries = [entry(rootPath || "./", { uid: 1000 }), entry(`${rootPath}a`, { uid: 7 })];
    expect((await repacked(rootPath, ...entries)).seen.map((each) => each.uid)).toEqual([1000, 7]);
  },
);

test("repackRoot fills holes of sparse files", async () => {
  // GNU's old format: 512 bytes of data at 1024, and 4096 in all.
  const [header] = entry("rootfs/sparse", { content: "y".repeat(512) });
  const sparse = new Uint8Array(header!);
  sparse[156] = "S".charCodeAt(0);
  sparse.fill(0, 329, 500);
  const put = (at: number, value: number) => sparse.set(Buffer.from(`${value.toString(8).padStart(11, "0")}\0`), at);
  sparse.set(Buffer.from("ustar  \0"), 257);
  put(386, 1024);
  put(398, 512);
  put(483, 4096);
  sparse.fill(0x20, 148, 156);
  const sum = sparse.reduce((total, byte) => total + byte, 0);
  sparse.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  const { seen } = await repacked("rootfs/", [sparse, Buffer.from("y".repeat(512))]);
  expect(seen[0]).toMatchObject({ path: "sparse", size: 4096 });
  expect(seen[0]!.text).toBe(`${"\0".repeat(1024)}${"y".repeat(512)}${"\0".repeat(2560)}`);
});

test("repackRoot refuses a hard link to what is not in the root", async () => {
  const link = entry("rootfs/x", { type: "hardlink", linkPath: "etc/shadow" as never });
  expect(repacked("rootfs/", link)).rejects.toThrow("rootfs/x is a link to what is outside of rootfs/");
});

test("repackRoot leaves names that lead upwards to the daemon, which refuses them", async () => {
  const { seen } = await repacked("rootfs/", entry("rootfs/../../etc/x"), entry("/rootfs//etc/y"));
  expect(seen.map(({ path }) => path)).toEqual(["../../etc/x", "etc/y"] as never);
});
