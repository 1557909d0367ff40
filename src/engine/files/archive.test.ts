import { expect, test } from "bun:test";
import { goFileMode } from "./archive-files.ts";

/** The modes that `docker cp` of Docker 26 was told. */
test("goFileMode has Go's bits for kinds and special permissions", () => {
  expect(goFileMode(0o040755)).toBe(2147484141);
  expect(goFileMode(0o120777)).toBe(134218239);
  expect(goFileMode(0o100644)).toBe(420);
  expect(goFileMode(0o041777)).toBe(2148532735);
  expect(goFileMode(0o104755)).toBe(8389101);
  expect(goFileMode(0o020620)).toBe(69206416);
});
