import { afterAll, beforeAll, describe, expect, mock, spyOn, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import {
  findTestFiles,
  kindOf,
  noTests,
  parseReport,
  root,
  runTestFile,
  type Tallies,
  tryAgain,
} from "./test-files.ts";

test("parseReport counts what passed, failed and was skipped, and finds the reasons for skips", () => {
  const xml = `<testsuites><testsuite>
    <testcase name="a &lt;b&gt;" time="0" />
    <testcase name="c &amp; d" time="0"><failure type="AssertionError" message="1&#10;  is &lt;2">text</failure></testcase>
    <testsuite name="group">
      <testcase name="d [skipped: needs root]" time="0">
        <skipped />
      </testcase>
      <testcase name="e" time="0"><skipped message="TODO" /></testcase>
      <testcase name="f" time="0" />
    </testsuite></testsuite></testsuites>`;
  expect(parseReport(xml, "a.test.ts")).toEqual({
    passed: 2,
    failed: ["a.test.ts: c & d: 1 is <2"],
    skipped: ["needs root", "no reason given"],
  });
});

test("tests are skipped by what gives the reason, and by nothing else", () => {
  const skipping = findTestFiles([]).filter((path) =>
    /\b(test|describe|it)\s*\.(skip|skipIf|todo|if)\(/.test(readFileSync(join(root, path), "utf8")),
  );
  expect(skipping).toEqual([]);
});

test("this very file is found, as a unit test, and so is nothing for a word that no path contains", () => {
  expect(findTestFiles(["test-files"])).toEqual(["scripts/test-files.test.ts"]);
  expect(kindOf("scripts/test-files.test.ts").name).toBe("unit");
  expect(kindOf("tests/kernel/a.test.ts").needsRoot).toBe(true);
  expect(findTestFiles(["no path contains this"])).toEqual([]);
});

describe("tryAgain", () => {
  const passed = { ...noTests(), passed: 2 };
  const failing = (...failed: string[]) => ({ ...noTests(), passed: 1, failed });

  test("what passes alone has passed, and is named; what fails again has failed; what had passed is not run again", async () => {
    using _quietLines = spyOn(console, "log").mockImplementation(() => {});
    const tallies: Tallies = new Map([
      ["good", passed],
      ["bad", failing("bad: a")],
      ["unstable", failing("unstable: b")],
    ]);
    const second: Tallies = new Map([
      ["bad", failing("bad: a, again")],
      ["unstable", passed],
    ]);
    const run = mock(async (_paths: string[]) => second);
    expect(await tryAgain(tallies, run)).toEqual(["unstable: b"]);
    expect(run.mock.calls).toEqual([[["bad", "unstable"]]]);
    expect(Object.fromEntries(tallies)).toEqual({ good: passed, bad: failing("bad: a, again"), unstable: passed });
  });

  test("where very many files failed, or none, nothing is run again", async () => {
    const run = mock(async (_paths: string[]) => new Map());
    const all = Array.from({ length: 13 }, (_, index) => [`${index}`, failing("x")] as const);
    for (const tallies of [new Map(all), new Map([["good", passed]])]) expect(await tryAgain(tallies, run)).toEqual([]);
    expect(run).not.toHaveBeenCalled();
  });
});

describe("runTestFile", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "lighter-test-files-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const cases = [
    { what: "a file that passes", body: 'test("a", () => {});', passed: 1, failed: 0 },
    { what: "a failing test", body: 'test("a", () => { expect(1).toBe(2) });', passed: 0, failed: 1 },
    { what: "a file that does not load", body: 'throw new Error("x");', passed: 0, failed: 1 },
    { what: "a file that is killed", body: 'test("a", () => process.kill(process.pid, 9));', passed: 0, failed: 1 },
    { what: "a file without tests", body: "", passed: 0, failed: 1 },
    { what: "a test file that exits early", body: 'test("a", () => process.exit(0));', passed: 0, failed: 1 },
  ];
  test("skips a file that names a program which is not here, and says so", async () => {
    const path = join(folder, "needs.test.ts");
    writeFileSync(path, "// needs: sh no-such-program nor-this\nprocess.exit(1);\n");
    using _quietLines = spyOn(console, "log").mockImplementation(() => {});
    const skipped = ["needs no-such-program, nor-this"];
    expect(await runTestFile(relative(root, path))).toEqual({ ...noTests(), skipped });
  });

  for (const [index, { what, body, passed, failed }] of cases.entries())
    test(`counts ${what} as ${passed} passed, ${failed} failed`, async () => {
      const path = join(folder, `${index}.test.ts`);
      writeFileSync(path, `import { expect, test } from "bun:test";\nvoid expect, void test;\n${body}\n`);
      using _quietLines = spyOn(console, "log").mockImplementation(() => {});
      using _quietOutput = spyOn(process.stdout, "write").mockImplementation(() => true);
      const tally = await runTestFile(relative(root, path));
      expect({ ...tally, failed: tally.failed.length }).toEqual({ passed, failed, skipped: [] });
    });
});
