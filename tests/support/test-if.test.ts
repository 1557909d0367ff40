import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseReport } from "../../scripts/test-files.ts";

test("what testIf and describeIf skip, in tables too, is not run and gives its reason", () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-test-if-"));
  try {
    const path = join(folder, "a.test.ts");
    const body = `
      import { testIf, describeIf } from ${JSON.stringify(join(import.meta.dirname, "test-if.ts"))};
      const fail = () => { throw new Error("run"); };
      testIf(false, "a")("one", fail);
      testIf(false, "b").each([[1], [2]])("%d", fail);
      describeIf("c")("group", fail);
      describeIf("d").each([[1]])("%d", fail);
      testIf(true, "e")("runs", () => {});
      testIf(true, "e").each([[1], [2]])("%d", () => {});
      describeIf(undefined)("group", () => testIf(true, "f")("runs", () => {}));`;
    writeFileSync(path, body);
    const reportPath = join(folder, "report.xml");
    const report = ["--reporter=junit", `--reporter-outfile=${reportPath}`];
    const { status } = spawnSync(process.execPath, ["test", ...report, path], { cwd: folder, stdio: "ignore" });
    expect(status).toBe(0);
    expect(parseReport(readFileSync(reportPath, "utf8"), path)).toEqual({
      passed: 4,
      failed: [],
      skipped: ["a", "b", "c", "d"],
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
