import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDaemonOptions } from "./daemon-config.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-config-"));
const path = join(directory, "daemon.json");
afterAll(() => rmSync(directory, { recursive: true }));

function parse(file: string, ...flags: string[]) {
  writeFileSync(path, file);
  return parseDaemonOptions(["--config-file", path, ...flags])?.registry;
}

test("registries are configured by flags, repeated, or by Docker's keys in the file", () => {
  expect(parse("{}")).toEqual({ mirrors: [], insecureRegistries: [] });
  expect(parse('{"registry-mirrors": ["http://m:1"], "insecure-registries": ["10.0.0.0/8", "r:5000"]}')).toEqual({
    mirrors: ["http://m:1"],
    insecureRegistries: ["10.0.0.0/8", "r:5000"],
  });
  const flags = ["--registry-mirror=https://a", "--registry-mirror=https://b", "--insecure-registry=r"];
  expect(parse("{}", ...flags)).toEqual({ mirrors: ["https://a", "https://b"], insecureRegistries: ["r"] });
});

test("what cannot be meant is refused by name", () => {
  const table: [file: string, flags: string[], message: string][] = [
    ['{"registry-mirrors": ["http://m"]}', ["--registry-mirror=http://n"], "registry-mirrors is given both"],
    ['{"registry-mirrors": "http://m"}', [], `configuration "${path}": registry-mirrors is not a list`],
    ['{"registry-mirror": []}', [], `configuration "${path}": these settings are not known: registry-mirror`],
    ["{", [], `configuration "${path}"`],
    ["{}", ["--registry-mirror=ftp://m"], "invalid mirror"],
  ];
  for (const [file, flags, message] of table) expect(() => parse(file, ...flags)).toThrow(message);
  expect(() => parseDaemonOptions(["--config-file", join(directory, "none")])).toThrow("read the configuration");
});
