import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changeHosts } from "./etc-files.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-etc-"));
  path = join(directory, "hosts");
});

afterEach(() => rmSync(directory, { recursive: true }));

test("lines of a hosts file come and go in place, and what the container wrote stays", () => {
  writeFileSync(path, "127.0.0.1\tlocalhost\n# 10.0.0.2 mine\n10.0.0.2\tweb\n10.0.0.3 other # own");
  const { ino } = statSync(path);
  changeHosts(path, (address) => address === "10.0.0.2", [["10.0.0.4", "web"]]);
  expect(readFileSync(path, "utf8")).toBe(
    "127.0.0.1\tlocalhost\n# 10.0.0.2 mine\n10.0.0.3 other # own\n10.0.0.4\tweb\n",
  );
  changeHosts(path, (_, names) => names === "web", []);
  expect(readFileSync(path, "utf8")).toBe("127.0.0.1\tlocalhost\n# 10.0.0.2 mine\n10.0.0.3 other # own\n");
  expect(statSync(path).ino).toBe(ino);
});

test("a file that is gone, and one that is no hosts file any more, are left alone", () => {
  changeHosts(path, () => true, [["10.0.0.4", "web"]]);
  expect(() => statSync(path)).toThrow();
  writeFileSync(path, Buffer.alloc(1024 * 1024 + 1, "x"));
  changeHosts(path, () => true, [["10.0.0.4", "web"]]);
  expect(statSync(path).size).toBe(1024 * 1024 + 1);
});

test("lines of nothing but blanks cost no more than others of their length", () => {
  const line = (length: number) => `10.0.0.3 a${" ".repeat(length)}b${" ".repeat(length)}`;
  const text = `${line(400_000)}\n${"\t".repeat(200_000)}\n`;
  writeFileSync(path, `${text}10.0.0.2 web\n`);
  const start = performance.now();
  changeHosts(path, (address) => address === "10.0.0.2", []);
  expect(performance.now() - start).toBeLessThan(1000); // what is quadratic takes minutes
  expect(readFileSync(path, "utf8")).toBe(text);
});
