/** The command line and the OCI runtime on Bun, as where there is no libquickjs: whole test files of theirs. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { describeIf } from "../support/test-if.ts";

const root = join(import.meta.dirname, "../..");
const FILES = ["compat/cli-run", "compat/cli-signals", "kernel/oci-control", "kernel/oci-later"];
const TIMEOUT_MS = 600_000;
const isOnBun = lstatSync(join(root, "dist/lighter")).isSymbolicLink();

describeIf(isOnBun ? "dist/lighter is Bun's program" : undefined)("on Bun", () => {
  test.each(FILES)(
    "%s passes",
    (file) => {
      const env = { ...process.env, LIGHTER_TEST_PROGRAM: "dist/lighterd" };
      const argv = ["test", "--timeout", "180000", `./tests/${file}.test.ts`];
      const { status, stderr } = spawnSync(process.execPath, argv, { cwd: root, env, encoding: "utf8" });
      expect(stderr.split("\n").filter((line) => line.startsWith("(fail)"))).toEqual([]);
      expect(status).toBe(0);
    },
    TIMEOUT_MS,
  );
});
