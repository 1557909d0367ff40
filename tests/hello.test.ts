import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { helloPath } from "../src/embedded.ts";
import { testIf } from "./support/test-if.ts";

const isRoot = process.getuid?.() === 0;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lighter-hello-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): { status: number | null; stdout: string } {
  const { status, stdout } = spawnSync(helloPath, args, { encoding: "utf8" });
  return { status, stdout };
}

test("hello is at most 8 KiB and needs no dynamic linker", () => {
  expect(statSync(helloPath).size).toBeLessThanOrEqual(8192);
  const elf = readFileSync(helloPath);
  const headerOffset = Number(elf.readBigUInt64LE(32));
  const types = Array.from({ length: elf.readUInt16LE(56) }, (_, index) => elf.readUInt32LE(headerOffset + index * 56));
  expect(types).not.toContain(3); // PT_INTERP
});

test("hello prints its identity, its namespaces and its limits", () => {
  const { status, stdout } = run();
  expect(status).toBe(0);
  expect(stdout).toStartWith("\n  Hello from a Lighter container.\n");
  expect(stdout).toContain(`hostname      ${hostname()}\n`);
  expect(stdout).toMatch(/process {7}pid \d+, uid \d+, gid \d+\n/);
  for (const name of ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup"]) {
    const inode = /\d+/.exec(readlinkSync(`/proc/self/ns/${name}`))?.[0];
    expect(stdout).toMatch(new RegExp(`\\b${name} +${inode}\\b`));
  }
  for (const label of ["memory", "cpu", "processes", "capabilities", "seccomp", "no-new-privs"])
    expect(stdout).toMatch(new RegExp(`^  ${label} +\\S`, "m"));
});

test("hello prints the date and time of now, in UTC", () => {
  const before = Math.floor(Date.now() / 1000) * 1000;
  const printed = /time +(\S+) (\S+) UTC/.exec(run().stdout);
  const time = Date.parse(`${printed?.[1]}T${printed?.[2]}Z`);
  expect(time).toBeGreaterThanOrEqual(before);
  expect(time).toBeLessThanOrEqual(Date.now());
});

test("hello writes no escape sequences to a pipe, and no line is wider than a terminal", () => {
  const { stdout } = run();
  expect(stdout).not.toContain("\u001b");
  for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(78);
});

test("hello names exactly the effective capabilities that /proc/self/status shows", () => {
  const mask = BigInt(`0x${/CapEff:\s*(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]}`);
  const count = mask.toString(2).replaceAll("0", "").length;
  const { stdout } = run();
  expect(stdout).toMatch(count === 0 ? /capabilities +none\n/ : new RegExp(`capabilities +${count} of \\d+`));
});

test("hello true exits 0 and prints nothing", () => {
  expect(run("true")).toEqual({ status: 0, stdout: "" });
});

test("hello exit N exits N", () => {
  for (const code of [0, 1, 42, 255]) expect(run("exit", String(code))).toEqual({ status: code, stdout: "" });
});

test("hello sleep exits 0 on SIGTERM and on SIGINT", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const child = spawn(helloPath, ["sleep"], { stdio: "ignore" });
    await waitsForSignals(child.pid!);
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([0, null]);
  }
});

/** Until the child is in rt_sigtimedwait(2), number 128 (x86_64) or 137 (aarch64): earlier, a signal would kill it. */
async function waitsForSignals(pid: number): Promise<void> {
  while (!/^(128|137) /.test(readFileSync(`/proc/${pid}/syscall`, "utf8"))) await new Promise(setImmediate);
}

testIf(isRoot, "needs root")("hello works in a root without /proc and /sys", () => {
  copyFileSync(helloPath, join(folder, "hello"));
  const { status, stdout } = spawnSync("chroot", [folder, "/hello"], { encoding: "utf8" });
  expect(status).toBe(0);
  expect(stdout).toContain("namespaces    not visible without /proc\n");
  expect(stdout).toContain("memory        not visible\n");
  expect(stdout).toMatch(/root +\w+/);
});
