import { expect, test } from "bun:test";
import { fileInTar, tarOfFile } from "./tar.ts";

const bytesOf = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer());

test("a file comes out of an archive as it went in, whatever its length", async () => {
  for (const length of [0, 1, 511, 512, 513, 5000]) {
    const content = crypto.getRandomValues(new Uint8Array(length));
    const tar = await bytesOf(tarOfFile("größe.bin", new Blob([content])));
    expect(tar.length % 512).toBe(0);
    expect(fileInTar(tar)).toEqual(content);
  }
});

test("tar(1) reads what is sent", async () => {
  const tar = await bytesOf(tarOfFile("a b", new Blob(["hello\n"])));
  const { stdout } = Bun.spawnSync(["tar", "-xOf", "-", "a b"], { stdin: tar });
  expect(stdout.toString()).toBe("hello\n");
});

test("names that would not fit are refused", () => {
  expect(() => tarOfFile("ü".repeat(51), new Blob([]))).toThrow("100 bytes");
});

test("headers that say more about a file are passed over, and what is no file is no file", async () => {
  const file = await bytesOf(tarOfFile("f", new Blob(["x"])));
  const more = await bytesOf(tarOfFile("PaxHeaders/f", new Blob(["19 path=some/file\n"])));
  more[156] = "x".charCodeAt(0);
  expect(fileInTar(Buffer.concat([more.subarray(0, 1024), file]))).toEqual(Uint8Array.of(120));
  const directory = file.slice();
  directory[156] = "5".charCodeAt(0);
  expect(() => fileInTar(directory)).toThrow("no file");
  expect(() => fileInTar(file.subarray(0, 512))).toThrow("as a whole");
  expect(() => fileInTar(new Uint8Array())).toThrow("as a whole");
});

test("no bytes hold it up", () => {
  for (let seed = 1; seed <= 500; seed++) {
    const bytes = crypto.getRandomValues(new Uint8Array((seed * 131) % 4096));
    if (bytes.length > 156) bytes[156] = "xgLK0"[seed % 5]!.charCodeAt(0);
    try {
      expect(fileInTar(bytes).length).toBeLessThanOrEqual(bytes.length);
    } catch (error) {
      expect((error as Error).message).toMatch(/^it (is|has) /);
    }
  }
});
