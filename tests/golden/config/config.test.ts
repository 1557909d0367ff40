import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { detectCgroupHost } from "../../../src/linux/cgroup/mod.ts";
import { loadCompiler } from "../../../src/linux/seccomp/memo.ts";
import { compileStart } from "../../../src/runtime/compile.ts";
import { PLAIN_HYBRID, readFrom, UNIFIED } from "../../support/cgroup-hosts.ts";
import { CASES } from "./cases.ts";
import { CONTAINER_ID, runCase } from "./run-case.ts";

await loadCompiler();

/** `GOLDEN=update bun test tests/golden/config` rewrites the files; the diff is reviewed. */
const update = process.env.GOLDEN === "update";
const folder = join(import.meta.dirname, "oci");

for (const testCase of CASES) {
  test(`a create body becomes the OCI config of before: ${testCase.name}`, () => {
    const { prepared, oci } = runCase(testCase);
    const { warnings, path, args, log, mountPoints } = prepared;
    const actual = { warnings, path, args, log, mountPoints, config: oci };
    const file = join(folder, `${testCase.name}.json`);
    if (update) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, `${JSON.stringify(actual, null, 1)}\n`);
    }
    expect(existsSync(file)).toBe(true);
    // Through JSON: what a runtime reads has no undefined.
    expect(JSON.parse(JSON.stringify(actual))).toEqual(JSON.parse(readFileSync(file, "utf8")));
    expect(findUndefined(oci, "config")).toEqual([]);
  });
}

for (const testCase of CASES)
  test(`the runtime makes a program of the config: ${testCase.name}`, () => {
    const { oci } = runCase(testCase);
    delete oci.linux!.seccomp; // its rules are left out in these tests
    const request = {
      id: CONTAINER_ID,
      config: oci,
      rootfs: [{ destination: "/", type: "overlay", source: "overlay", options: ["lowerdir=/a:/b"] }],
      runDirectory: "/run/c",
      stdio: { terminal: oci.process!.terminal ?? false, stdin: false },
      attach: [],
    };
    const cgroups = detectCgroupHost(readFrom(testCase.cgroup === "unified" ? UNIFIED : PLAIN_HYBRID));
    const host = { cgroups, kindOf: () => "directory" as const, rootMountpoint: "/run/root" };
    const { program } = compileStart(request, host, false);
    expect(program.init.length).toBeGreaterThan(0);
  });

test("every golden file belongs to a case", () => {
  expect(readdirSync(folder).sort()).toEqual(CASES.map((testCase) => `${testCase.name}.json`).sort());
});

function findUndefined(value: unknown, path: string): string[] {
  if (value === undefined) return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => findUndefined(each, `${path}.${key}`));
}
