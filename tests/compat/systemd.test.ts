import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { testIf } from "../support/test-if.ts";

const root = join(import.meta.dirname, "../..");
const vmrun = join(root, "../shared/vm/vmrun");
const SCRATCH = "/mnt";
const VM_TIMEOUT_S = 380;
const TEST_TIMEOUT_MS = 120_000;

testIf(existsSync(vmrun) && process.getuid?.() === 0, "no ../shared/vm/vmrun beside this checkout, or not root")(
  "the tests of the systemd driver and of the daemon's units pass where systemd is process 1",
  () => {
    const files = [
      "tests/kernel/systemd-scope.test.ts",
      "tests/kernel/oci-systemd.test.ts",
      "tests/kernel/daemon-systemd.test.ts",
    ];
    // The VM's own files are an overlay, which cannot hold another's upper directory.
    const options = ["--init", "systemd", "--tmpfs", SCRATCH, "--timeout", `${VM_TIMEOUT_S}`];
    const test = [process.execPath, "test", "--timeout", `${TEST_TIMEOUT_MS}`, ...files];
    const env = { ...process.env, LIGHTER_TEST_DIR: SCRATCH };
    const ran = spawnSync(vmrun, [...options, "--", ...test], { cwd: root, env });
    const output = `${ran.stdout}${ran.stderr}`;
    expect(output).toMatch(/^ \d+ pass$/m);
    expect(output).not.toMatch(/\[skipped: /);
    expect(output.match(/^\(fail\).*$/gm) ?? []).toEqual([]);
    expect(ran.status).toBe(0);
  },
  (VM_TIMEOUT_S + 20) * 1000,
);
