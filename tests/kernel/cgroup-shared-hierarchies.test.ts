import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { testIf } from "../support/test-if.ts";

/*
 * The same tests once more where controllers share a v1 hierarchy (cpu,cpuacct), and memory and cpuset are on the v2
 * beside it: the layout of a systemd host in hybrid mode, on a kernel without v1's memory controller.
 */

const root = join(import.meta.dirname, "../..");
const vmrun = join(root, "../shared/vm/vmrun");
const isInside = existsSync("/run/vmrun"); // of the machine that it boots
const isRoot = process.getuid?.() === 0;

testIf(isRoot && !isInside && existsSync(vmrun), "needs root and ../shared/vm/vmrun, outside of it")(
  "cgroup plans work with controllers that share a hierarchy, and with v2 controllers beside v1",
  () => {
    const command = [process.execPath, "test", "./tests/kernel/cgroup.test.ts"];
    const ran = spawnSync(vmrun, ["--cgroup", "v1", "--timeout", "55", "--", ...command], { cwd: root });
    const output = `${ran.stdout}${ran.stderr}`;
    expect(output).toContain("on hybrid cgroups > a process over the memory limit is killed");
    expect(output).toContain("\n 0 fail");
    expect(ran.status, output).toBe(0);
  },
  60_000,
);
