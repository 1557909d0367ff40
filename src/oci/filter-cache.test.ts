import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SECCOMP_CACHE_FILES } from "../base/limits.ts";
import { filterOf } from "../linux/seccomp/memo.ts";
import { compileSeccomp } from "../linux/seccomp/mod.ts";
import type { OciSeccomp } from "../spec/oci-runtime.ts";
import { rememberFilter } from "./filter-cache.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "lighter-filters-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const directory = () => join(root, ".@filters");
const files = () => readdirSync(directory());
const allowing = (...names: string[]): OciSeccomp => ({
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [{ names, action: "SCMP_ACT_ALLOW" }],
});

/** Replaces the stored filter by another valid one. */
function exchange(filter: Uint8Array): void {
  const content = Buffer.concat([Buffer.from("LSF1"), Buffer.alloc(4), filter]);
  writeFileSync(
    join(directory(), files()[0]!),
    Buffer.concat([content, new Bun.CryptoHasher("sha256").update(content).digest()]),
  );
}

test("a filter is compiled once, and read from then on", async () => {
  const first = allowing("read");
  await rememberFilter(root, first, "program");
  expect(filterOf(first).instructions).toEqual(compileSeccomp(allowing("read")).instructions);
  expect(files().length).toBe(1);
  expect(statSync(directory()).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory(), files()[0]!)).mode & 0o777).toBe(0o600);

  const other = compileSeccomp(allowing("write")).instructions;
  exchange(other);
  const second = allowing("read");
  await rememberFilter(root, second, "program");
  expect(filterOf(second)).toEqual({ instructions: other, flags: 0 });
});

test("flags are kept with the instructions", async () => {
  const flagged = (): OciSeccomp => ({ ...allowing("read"), flags: ["SECCOMP_FILTER_FLAG_LOG"] });
  await rememberFilter(root, flagged(), "program");
  const again = flagged();
  await rememberFilter(root, again, "program");
  expect(filterOf(again)).toEqual(compileSeccomp(flagged()));
});

test("another program, and another section, have filters of their own", async () => {
  await rememberFilter(root, allowing("read"), "program");
  await rememberFilter(root, allowing("read"), "newer program");
  await rememberFilter(root, allowing("write"), "program");
  expect(files().length).toBe(3);
});

test("a file that is not whole is made anew", async () => {
  await rememberFilter(root, allowing("read"), "program");
  const path = join(directory(), files()[0]!);
  const whole = readFileSync(path);
  const wrong = [
    whole.subarray(0, 0),
    whole.subarray(0, 20),
    whole.subarray(0, -8),
    Buffer.concat([whole, Buffer.alloc(8)]),
    Buffer.alloc(100_000),
  ];
  for (let bit = 0; bit < whole.length * 8; bit += 37) {
    const changed = Buffer.from(whole);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    wrong.push(changed);
  }
  for (const bytes of wrong) {
    writeFileSync(path, bytes);
    const section = allowing("read");
    await rememberFilter(root, section, "program");
    expect(filterOf(section)).toEqual(compileSeccomp(allowing("read")));
    expect(readFileSync(path)).toEqual(whole);
  }
});

test("the number of files has a limit", async () => {
  for (let number = 0; number < SECCOMP_CACHE_FILES + 3; number++)
    await rememberFilter(root, allowing("read"), `${number}`);
  expect(files().length).toBe(3);
});

test("what has a listener is not kept, nor what does not compile", async () => {
  const notify: OciSeccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    listenerPath: "/agent.sock",
    syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
  };
  await rememberFilter(root, notify, "program");
  await rememberFilter(root, { defaultAction: "SCMP_ACT_NONE" }, "program");
  await rememberFilter(root, allowing("read"), undefined);
  expect(readdirSync(root)).toEqual([]);
});

test("a directory that cannot be written costs nothing but time", async () => {
  writeFileSync(directory(), "");
  chmodSync(directory(), 0o400);
  const section = allowing("read");
  await rememberFilter(root, section, "program");
  expect(filterOf(section)).toEqual(compileSeccomp(allowing("read")));
});
