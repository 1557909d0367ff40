import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeptFiles } from "./kept-files.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-kept-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const openFiles = () => readdirSync("/proc/self/fd").length;

test("files of the kernel's stay open while they are read each time, and no others do", () => {
  const files = new KeptFiles();
  const [path, kernels] = [join(directory, "plain"), "/sys/kernel/notes"];
  writeFileSync(path, "text");
  const before = openFiles();
  const readBoth = () => files.readAll((read) => [read(kernels)?.length, read(path)]);
  const first = readBoth();
  expect(first[0]).toBeGreaterThan(0);
  expect(first[1]).toBe("text");
  expect(readBoth()).toEqual(first);
  expect(openFiles()).toBe(before + 1);
  expect(files.readAll((read) => read("/sys/nothing/here"))).toBeUndefined();
  expect(openFiles()).toBe(before);
  readBoth();
  files.closeAll();
  expect(openFiles()).toBe(before);
});
