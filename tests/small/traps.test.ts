/** What engines do differently: these run in Bun, and inside the small engine with the other pure tests. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize, relative, resolve } from "node:path";
import { text, utf8 } from "../../src/base/bytes.ts";
import { formatJson, parseExactJson } from "../../src/spec/json.ts";

test("BigInt.asUintN makes negative numbers positive", () => {
  expect(BigInt.asUintN(64, -1n)).toBe(0xffff_ffff_ffff_ffffn);
  expect(BigInt.asUintN(8, -1n)).toBe(255n);
  expect(BigInt.asUintN(64, 1n << 64n)).toBe(0n);
  expect(BigInt.asIntN(64, 0xffff_ffff_ffff_fff9n)).toBe(-7n);
});

test("bigints have no zeros before their digits, in any base", () => {
  for (const base of [2, 8, 10, 16, 32, 36])
    for (let bits = 1n; bits < 300n; bits++)
      for (const value of [(1n << bits) - 1n, 1n << bits, -(1n << bits)])
        expect(value.toString(base).replace("-", "")[0]).not.toBe("0");
  expect(0n.toString(16)).toBe("0");
  expect(((1n << 124n) - 1n).toString(16)).toBe("f".repeat(31));
});

test("integers beyond 2^53 are read and written exactly", () => {
  const json = '{"limit":18446744073709551615,"least":-9223372036854775808,"list":[9007199254740993,1]}';
  const value = parseExactJson(json, "config");
  expect(value).toEqual({ limit: 2n ** 64n - 1n, least: -(2n ** 63n), list: [2n ** 53n + 1n, 1] });
  expect(formatJson(value)).toBe(json);
});

test("only integers are read so: not digits in strings, fractions and exponents", () => {
  const text =
    '{"1234567890123456789":"a\\"1234567890123456789","b":0.12345678901234567,"c":1234567890123456789.5,"d":1e-1234567890123456}';
  expect(parseExactJson(text, "config")).toEqual({
    "1234567890123456789": 'a"1234567890123456789',
    b: Number("0.12345678901234567"),
    c: Number("1234567890123456789.5"),
    d: 0,
  });
});

test("lone surrogates are written as U+FFFD", () => {
  expect([...utf8("a\ud800b\udfffc😀")]).toEqual([...utf8("a\ufffdb\ufffdc😀")]);
  expect(Buffer.from("\ud800").toString("hex")).toBe("efbfbd");
  expect(Buffer.byteLength("😀\udc00")).toBe(7);
});

test.each([
  ["80", "\ufffd"],
  ["c0af", "\ufffd\ufffd"],
  ["e08080", "\ufffd\ufffd\ufffd"],
  ["eda080", "\ufffd\ufffd\ufffd"],
  ["f09f98", "\ufffd"],
  ["f09f9841", "\ufffdA"],
  ["f4908080", "\ufffd\ufffd\ufffd\ufffd"],
  ["e28241e282", "\ufffdA\ufffd"],
  ["f09f988041", "😀A"],
  ["efbbbf41", "A"],
  ["4100c3a9", "A\0é"],
])("the bytes %s have as many U+FFFD as the web's decoder makes", (hex, wanted) => {
  expect(text(Buffer.from(hex, "hex"))).toBe(wanted);
});

test("a decoder keeps the beginning of a character for the next piece", () => {
  const whole = utf8("aé€😀\ufeff");
  for (let at = 0; at <= whole.length; at++) {
    const decoder = new TextDecoder();
    const pieces = [whole.subarray(0, at), whole.subarray(at)].map((piece) => decoder.decode(piece, { stream: true }));
    expect(pieces.join("") + decoder.decode()).toBe("aé€😀\ufeff");
  }
  const broken = new TextDecoder();
  expect(broken.decode(Uint8Array.of(0xe2, 0x82), { stream: true }) + broken.decode()).toBe("\ufffd");
  expect(() => new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.of(0xff))).toThrow();
  expect(new TextDecoder("utf-8", { fatal: true }).decode(utf8("\ufffd"))).toBe("\ufffd");
});

test("calls may nest by the thousand, and too deep is an error that can be caught", () => {
  const depth = (n: number): number => (n === 0 ? 0 : 1 + depth(n - 1));
  expect(depth(5000)).toBe(5000);
  expect(() => depth(1e9)).toThrow();
  expect(() => parseExactJson("[".repeat(1_000_000), "config")).toThrow("config");
});

test("Buffers are views or copies, as Node's are", () => {
  const memory = new ArrayBuffer(8);
  const view = Buffer.from(memory, 2, 4);
  view.writeUInt32BE(0x01020304);
  expect([...new Uint8Array(memory)]).toEqual([0, 0, 1, 2, 3, 4, 0, 0]);
  const part = view.subarray(1, 3);
  expect(part.toString("hex")).toBe("0203");
  const copy = Buffer.from(part);
  copy[0] = 9;
  expect(view.readUInt16LE(1)).toBe(0x0302);
  expect(Buffer.concat([part, utf8("é")]).toString("latin1")).toBe("\u0002\u0003Ã©");
  expect(Buffer.from("aGk_-w", "base64").toString("hex")).toBe("68693ffb");
  expect(Buffer.from(Uint8Array.of(251, 255, 0)).toString("base64")).toBe("+/8A");
  expect(Buffer.alloc(4).write("a€€", 0)).toBe(4);
  expect(Buffer.from("abcabc").indexOf("ca")).toBe(2);
});

test("hashes are right at every length around a block's", () => {
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  expect(sha256("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(sha256("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  let chain = "";
  for (let length = 0; length < 200; length++) chain = sha256(chain + "x".repeat(length));
  expect(chain).toBe("17e907d803d8884243414b4e18d18acd5f8eacdc3941a8585b8d96940a81509c");
});

test("paths are Node's", () => {
  expect([join("/a/", "../..", "b//c/."), normalize("a/../../b/"), join("")]).toEqual(["/b/c", "../b/", "."]);
  expect([dirname("/a/b/"), dirname("a"), dirname("/a"), basename("/a/b/"), basename("x.tar", ".tar")]).toEqual([
    ...["/a", ".", "/", "b", "x"],
  ]);
  expect([resolve("/a", "b", "../c"), resolve("/a", "/b/"), relative("/a/b/c", "/a/d")]).toEqual([
    "/a/c",
    "/b",
    "../../d",
  ]);
});

test("files: what is written is read, exactly, and errors have Node's fields", () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-traps-"));
  try {
    const path = join(folder, "é\u0001");
    writeFileSync(path, "a\0é", { mode: 0o600 });
    expect(readFileSync(path, "utf8")).toBe("a\0é");
    const { size, mode } = statSync(path);
    expect([size, mode & 0o777]).toEqual([4, 0o600]);
    expect(statSync(join(folder, "none"), { throwIfNoEntry: false })).toBeUndefined();
    expect(() => readFileSync(join(folder, "none"))).toThrow("ENOENT: no such file or directory, open");
    expect(readFileSync("/proc/self/stat", "utf8")).toMatch(/^\d+ \(/); // its size is 0
  } finally {
    rmSync(folder, { recursive: true });
  }
});
