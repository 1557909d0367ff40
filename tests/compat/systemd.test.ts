import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { missing } from "../support/missing.ts";
import { testIf } from "../support/test-if.ts";

const root = join(import.meta.dirname, "../..");
const vmrun = join(root, "../shared/vm/vmrun");
const SCRATCH = "/mnt";
const VM_TIMEOUT_S = 380;
const TEST_TIMEOUT_MS = 120_000;

function withVm(...programs: readonly string[]) {
  const runs = existsSync(vmrun) && process.getuid?.() === 0;
  const whyNot = runs ? missing(...programs) : "no ../shared/vm/vmrun beside this checkout, or not root";
  return testIf(whyNot === undefined, whyNot ?? "");
}

withVm()(
  "the tests of the systemd driver, of the daemon's units and of a machine's profile pass where systemd is process 1",
  () => {
    const files = [
      "tests/kernel/systemd-scope.test.ts",
      "tests/kernel/oci-systemd.test.ts",
      "tests/kernel/daemon-systemd.test.ts",
      "tests/kernel/cri-systemd.test.ts",
    ];
    // The VM's own files are an overlay, which cannot hold another's upper directory.
    const options = ["--init", "systemd", "--tmpfs", SCRATCH, "--timeout", `${VM_TIMEOUT_S}`];
    const run = `${process.execPath} test --timeout ${TEST_TIMEOUT_MS}`;
    const script = `${run} ${files.join(" ")} && ${run} --test-name-pattern "^a machine" tests/kernel/apparmor.test.ts`;
    const env = { ...process.env, LIGHTER_TEST_DIR: SCRATCH };
    const ran = spawnSync(vmrun, [...options, "--", "sh", "-c", script], { cwd: root, env });
    const output = `${ran.stdout}${ran.stderr}`;
    expect(output).toMatch(/^ \d+ pass$/m);
    expect(output).not.toMatch(/\[skipped: /);
    expect(output.match(/^\(fail\).*$/gm) ?? []).toEqual([]);
    expect(ran.status).toBe(0);
  },
  (VM_TIMEOUT_S + 20) * 1000,
);

withVm("busybox")(
  "a shutdown of the host stops machines, the last one first, and waits until they have ended",
  () => {
    const shared = mkdtempSync(join(tmpdir(), "lighter-shutdown-"));
    try {
      writeFileSync(join(shared, "root.tar"), rawTar(...busyboxRoot()));
      const options = ["--init", "systemd", "--tmpfs", SCRATCH, "--share", shared, "--timeout", `${VM_TIMEOUT_S}`];
      const script = join(root, "tests/support/shut-down-host.sh");
      spawnSync(vmrun, [...options, "--", "sh", script, root, shared], { cwd: root });
      const events = readFileSync(join(shared, "events"), "utf8").split("\n");
      expect(events.filter((line) => /machine\d (kill|die)/.test(line))).toEqual([
        "machine2 kill <no value>",
        "machine2 die 130",
        "machine1 kill <no value>",
        "machine1 die 130",
      ]);
    } finally {
      rmSync(shared, { recursive: true });
    }
  },
  (VM_TIMEOUT_S + 20) * 1000,
);
