/** The command line and the OCI runtime on the small engine: whole test files of theirs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findQuickJs } from "../../scripts/quickjs.ts";
import { describeIf } from "../support/test-if.ts";

const root = join(import.meta.dirname, "../..");
const FILES = ["compat/cli-run", "compat/cli-signals", "kernel/oci-control", "kernel/oci-later"];
const TIMEOUT_MS = 600_000;

describeIf(findQuickJs() === undefined ? "needs libquickjs" : undefined)("on the small engine", () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-on-small-"));
  const program = join(folder, "lighter");
  afterAll(() => rmSync(folder, { recursive: true }));

  beforeAll(() => {
    const built = spawnSync(process.execPath, [join(root, "scripts/build-small.ts"), program], { encoding: "utf8" });
    if (built.status !== 0) throw new Error(built.stderr);
  }, TIMEOUT_MS);

  test.each(FILES)(
    "%s passes",
    (file) => {
      const env = { ...process.env, LIGHTER_TEST_PROGRAM: program };
      const argv = ["test", "--timeout", "180000", `./tests/${file}.test.ts`];
      const { status, stderr } = spawnSync(process.execPath, argv, { cwd: root, env, encoding: "utf8" });
      expect(stderr.split("\n").filter((line) => line.startsWith("(fail)"))).toEqual([]);
      expect(status).toBe(0);
    },
    TIMEOUT_MS,
  );
});
