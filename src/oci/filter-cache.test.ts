import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SECCOMP_CACHE_FILES } from "../base/limits.ts";
import { compileSeccomp, compileSeccompMemo } from "../linux/seccomp/mod.ts";
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

/** Puts another filter in place of the kept one, as whole as that was. */
function exchange(filter: Uint8Array): void {
  const content = Buffer.concat([Buffer.from("LSF1"), Buffer.alloc(4), filter]);
  writeFileSync(
    join(directory(), files()[0]!),
    Buffer.concat([content, new Bun.CryptoHasher("sha256").update(content).digest()]),
  );
}

test("a filter is compiled once, and read from then on", () => {
  const first = allowing("read");
  rememberFilter(root, first, "program");
  expect(compileSeccompMemo(first).instructions).toEqual(compileSeccomp(allowing("read")).instructions);
  expect(files().length).toBe(1);
  expect(statSync(directory()).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory(), files()[0]!)).mode & 0o777).toBe(0o600);

  const other = compileSeccomp(allowing("write")).instructions;
  exchange(other);
  const second = allowing("read");
  rememberFilter(root, second, "program");
  expect(compileSeccompMemo(second)).toEqual({ instructions: other, flags: 0 });
});

test("flags are kept with the instructions", () => {
  const flagged = (): OciSeccomp => ({ ...allowing("read"), flags: ["SECCOMP_FILTER_FLAG_LOG"] });
  rememberFilter(root, flagged(), "program");
  const again = flagged();
  rememberFilter(root, again, "program");
  expect(compileSeccompMemo(again)).toEqual(compileSeccomp(flagged()));
});

test("another program, and another section, have filters of their own", () => {
  rememberFilter(root, allowing("read"), "program");
  rememberFilter(root, allowing("read"), "newer program");
  rememberFilter(root, allowing("write"), "program");
  expect(files().length).toBe(3);
});

test("a file that is not whole is made anew", () => {
  rememberFilter(root, allowing("read"), "program");
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
    rememberFilter(root, section, "program");
    expect(compileSeccompMemo(section)).toEqual(compileSeccomp(allowing("read")));
    expect(readFileSync(path)).toEqual(whole);
  }
});

test("the number of files has a limit", () => {
  for (let number = 0; number < SECCOMP_CACHE_FILES + 3; number++) rememberFilter(root, allowing("read"), `${number}`);
  expect(files().length).toBe(3);
});

test("what has a listener is not kept, nor what does not compile", () => {
  const notify: OciSeccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    listenerPath: "/agent.sock",
    syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
  };
  rememberFilter(root, notify, "program");
  rememberFilter(root, { defaultAction: "SCMP_ACT_NONE" }, "program");
  rememberFilter(root, allowing("read"), undefined);
  expect(readdirSync(root)).toEqual([]);
});

test("a directory that cannot be written costs nothing but time", () => {
  writeFileSync(directory(), "");
  chmodSync(directory(), 0o400);
  const section = allowing("read");
  rememberFilter(root, section, "program");
  expect(compileSeccompMemo(section)).toEqual(compileSeccomp(allowing("read")));
});
