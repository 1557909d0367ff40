import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { alignSegments } from "./align-segments.ts";

/** Beyond it a program is killed in the middle of a dump. */
const OUTPUT_MAX = 64 * 1024 * 1024;
const HUGE = 2n * 1024n * 1024n;
const folder = mkdtempSync(join(tmpdir(), "lighter-segments-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of each loadable segment: how far its place in the file is from that in memory, beyond whole huge pages. */
function offsets(program: Uint8Array): bigint[] {
  const view = new DataView(program.buffer, program.byteOffset);
  return Array.from({ length: view.getUint16(56, true) }, (_, i) => 64 + i * 56)
    .filter((at) => view.getUint32(at, true) === 1)
    .map((at) => (view.getBigUint64(at + 16, true) - view.getBigUint64(at + 8, true)) % HUGE);
}

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", maxBuffer: OUTPUT_MAX });
  return `${status} ${stdout}${stderr}`;
}

describe.each(["/bin/true", "/bin/ls", "/bin/busybox", "/usr/bin/perl"].filter(existsSync))("%s", (path) => {
  const aligned = alignSegments(readFileSync(path));
  const copy = join(folder, basename(path));

  test("segments lie in the file as in memory", () => {
    expect(offsets(aligned).every((rest) => rest === 0n)).toBe(true);
  });

  test("it runs as before", () => {
    writeFileSync(copy, aligned, { mode: 0o755 });
    expect(run(copy, "--help").replaceAll(copy, path)).toBe(run(path, "--help"));
  });

  test.skipIf(Bun.which("readelf") === null)("its sections have the same bytes", () => {
    const dump = (file: string) => run("readelf", "-p", ".shstrtab", "-x", ".rodata", "-x", ".dynamic", file);
    expect(dump(copy).replaceAll(copy, path)).toBe(dump(path));
  });

  test("what is aligned is left as it is", () => {
    expect(alignSegments(aligned)).toEqual(aligned);
  });
});

test("what is no such program stays as it is", () => {
  const program = new Uint8Array(64);
  expect(alignSegments(program)).toBe(program);
});
