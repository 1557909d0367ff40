import { expect, test } from "bun:test";
import manifest from "../../package.json";
import { VERSION } from "./version.ts";

test("VERSION is the version in package.json", () => {
  expect(VERSION).toBe(manifest.version);
});
