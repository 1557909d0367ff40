/** What the build and its set-up promise. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { testIf } from "./support/test-if.ts";

const root = join(import.meta.dirname, "..");
const QUICKJS = "/usr/include/quickjs/quickjs.h";
const PROGRAMS = ["lighter", "lighterd"];
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lighter-build-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(PROGRAMS)("dist/%s runs no code and takes no settings from the current directory", (name) => {
  const provePath = join(folder, "proof");
  writeFileSync(join(folder, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(provePath)}, "")`);
  writeFileSync(join(folder, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(folder, ".env"), "BUN_OPTIONS=--preload=./evil.ts\nLIGHTER_HOST=nonsense://\n");
  const { status, stdout } = spawnSync(join(root, "dist", name), ["--version"], { cwd: folder, encoding: "utf8" });
  expect(status).toBe(0);
  expect(stdout.toLowerCase()).toContain("lighter");
  expect(existsSync(provePath)).toBe(false);
});

const VARIABLES = [
  { BUN_OPTIONS: "--preload=./evil.ts" },
  { BUN_OPTIONS: "--config=./other.toml" },
  { BUN_BE_BUN: "1" },
  { NODE_OPTIONS: "--require ./evil.ts" },
  { BUN_INSPECT_PRELOAD: "./evil.ts" },
  { BUN_TCC_OPTIONS: "-bogus" },
];
const HOSTILE = PROGRAMS.flatMap((name) => VARIABLES.map((variable) => ({ name, variable })));
test.each(HOSTILE)("a program runs no code that the environment names: %j", ({ name, variable }) => {
  const provePath = join(folder, "proof-env");
  writeFileSync(join(folder, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(provePath)}, "")`);
  writeFileSync(join(folder, "other.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(folder, "package.json"), JSON.stringify({ scripts: { runtime: `touch ${provePath}` } }));
  const { status, stdout } = spawnSync(join(root, "dist", name), ["runtime", "--version"], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...variable },
  });
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining("lighter-runtime version") });
  expect(existsSync(provePath)).toBe(false);
});

test.each(PROGRAMS)("dist/%s is the OCI runtime by first argument and by the name it is called", (name) => {
  const lighter = join(root, "dist", name);
  const link = join(folder, "lighter-runtime");
  rmSync(link, { force: true });
  symlinkSync(lighter, link);
  const byName = spawnSync(link, ["--version"], { encoding: "utf8" });
  const byArgument = spawnSync(lighter, ["runtime", "--version"], { encoding: "utf8" });
  const byPath = spawnSync("lighter-runtime", ["--version"], {
    encoding: "utf8",
    env: { ...process.env, PATH: folder },
  });
  expect(byName.stdout).toMatch(/^lighter-runtime version \S+\n(?:.+\n)*spec: 1\.2\.0\n$/);
  for (const other of [byArgument, byPath])
    expect([other.status, other.stdout, other.stderr]).toEqual([0, byName.stdout, ""]);
});

test.each(PROGRAMS)("the launcher in dist/%s cannot be told to fail: it is not the test variant", (name) => {
  const launcher = readFileSync(join(root, "dist/launcher"));
  expect(readFileSync(join(root, "dist", name)).includes(launcher)).toBe(true);
  expect(readFileSync(join(root, "dist/launcher-test")).equals(launcher)).toBe(false);
});

test("build.ts --check says what is not there, or was made from other sources", () => {
  const checkout = join(folder, "to-check");
  const copies = [
    "scripts/build.ts",
    "scripts/c-compiler.ts",
    "scripts/machine.ts",
    "dist/.stamp",
    "dist/launcher",
    "launcher",
  ];
  const check = () => {
    const { status, stderr } = spawnSync(process.execPath, [join(checkout, "scripts/build.ts"), "--check"], {
      encoding: "utf8",
    });
    return [status, stderr];
  };
  for (const path of copies) cpSync(join(root, path), join(checkout, path), { recursive: true });
  expect(check()).toEqual([1, expect.stringContaining("dist/lighter-runtime is not there: ")]);
  appendFileSync(join(checkout, "launcher/launcher.h"), "\n");
  expect(check()).toEqual([1, expect.stringContaining("dist/launcher was made from other sources than are here: ")]);
});

describe("setup.sh's stale", () => {
  const BUILT = new Date("2026-01-01T12:00:00Z");
  const BEFORE = new Date("2026-01-01T11:00:00Z");
  const AFTER = new Date("2026-01-01T13:00:00Z");
  const sources = [
    "src/a.ts",
    "src/a.test.ts",
    "launcher/l.c",
    "host/h.c",
    "hello/h.c",
    "init/i.c",
    "package.json",
    "package-lock.json",
  ];
  let checkout = "";
  beforeAll(() => {
    checkout = join(folder, "checkout");
    for (const path of [...sources, "dist/.stamp", "scripts/setup.sh"]) {
      mkdirSync(dirname(join(checkout, path)), { recursive: true });
      writeFileSync(join(checkout, path), "");
    }
    copyFileSync(join(root, "scripts/setup.sh"), join(checkout, "scripts/setup.sh"));
  });

  /** As if all were built, then `change` made. */
  function staleAfter(change: () => void): boolean {
    for (const path of [...sources, "src", "launcher", "host", "hello", "init", "scripts", "scripts/setup.sh"])
      utimesSync(join(checkout, path), BEFORE, BEFORE);
    utimesSync(join(checkout, "dist/.stamp"), BUILT, BUILT);
    change();
    const script = `set -eu; root=${checkout}; . "$root/scripts/setup.sh"; if stale; then echo yes; else echo no; fi`;
    const { stdout } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
    expect(stdout).toMatch(/^(yes|no)\n$/);
    return stdout === "yes\n";
  }
  const touch = (path: string) => () => utimesSync(join(checkout, path), AFTER, AFTER);

  test("is false when nothing is newer than the build", () => expect(staleAfter(() => {})).toBe(false));
  test("is false when only a test is newer", () => expect(staleAfter(touch("src/a.test.ts"))).toBe(false));
  for (const path of sources.filter((path) => path !== "src/a.test.ts"))
    test(`is true when ${path} is newer`, () => expect(staleAfter(touch(path))).toBe(true));
  test("is true when a source is gone, which its folder's time shows", () => {
    expect(staleAfter(() => unlinkSync(join(checkout, "src/a.ts")))).toBe(true);
    writeFileSync(join(checkout, "src/a.ts"), "");
  });
  testIf(existsSync(QUICKJS), "needs libquickjs")("is true when there is now what a link was built without", () => {
    expect(staleAfter(() => symlinkSync("lighterd", join(checkout, "dist/lighter")))).toBe(true);
    unlinkSync(join(checkout, "dist/lighter"));
  });
  test("is true when nothing was ever built", () => {
    expect(staleAfter(() => unlinkSync(join(checkout, "dist/.stamp")))).toBe(true);
    writeFileSync(join(checkout, "dist/.stamp"), "");
  });
});
