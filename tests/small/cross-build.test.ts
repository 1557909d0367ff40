/** The programs for the other architecture, built on this one and run by an emulator. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { distOf, findQuickJs, machineOf } from "../../scripts/machine.ts";
import { missing } from "../support/missing.ts";
import { describeIf } from "../support/test-if.ts";
import { entryOf, pureTests } from "./pure-tests.ts";

const root = join(import.meta.dirname, "../..");
const TIMEOUT_MS = 600_000; // compilers run, and an emulator
const ELF_MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/** What depends on the machine: the engine's host, the kernel's structs and numbers. All else would take an emulator minutes. */
const DEPENDS_ON_IT = ["src/linux/{sys,netlink}/**/*.test.ts", "tests/small/traps.test.ts"];

const machine = machineOf(process.arch === "arm64" ? "x64" : "arm64");
const whyNot =
  missing(...machine.emulator, `${machine.triplet}-gcc`) ??
  (findQuickJs(machine) === undefined ? `needs libquickjs of ${machine.arch}` : undefined);

describeIf(whyNot)(`on ${machine.arch}, built here`, () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-cross-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const lighter = join(distOf(machine), "lighter");
  const [emulator = ""] = machine.emulator;

  function bun(...args: string[]): void {
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  }

  beforeAll(() => bun("scripts/build.ts", `--target=${machine.arch}`), TIMEOUT_MS);

  test.each(["lighter", "lighter-runtime", "launcher"])("%s is a program of that machine", (name) => {
    expect(readFileSync(join(distOf(machine), name)).readUInt16LE(18)).toBe(ELF_MACHINES[machine.arch]!);
  });

  test("what needs no daemon is answered: command line and runtime", () => {
    const run = (...args: string[]) => spawnSync(emulator, [lighter, ...args], { encoding: "utf8" });
    expect(run("--version")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringMatching(/^Lighter version /),
    });
    expect(run("runtime", "--root", folder, "list", "-q")).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const spec = JSON.parse(run("runtime", "features").stdout);
    expect(spec.linux.seccomp.archs).toContain(machine.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64");
  });

  test("a daemon's answer is read from its socket", async () => {
    const container = {
      Id: "0123456789abcdef".repeat(4),
      Names: ["/web"],
      Image: "nginx",
      Command: "nginx -g",
      Ports: [],
    };
    const server = createServer((request, response) => {
      response.setHeader("content-type", "application/json");
      response.end(request.url?.includes("/containers/json") ? JSON.stringify([{ ...container, Created: 1 }]) : "OK");
    });
    const socket = join(folder, "daemon.sock");
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      const child = spawn(emulator, [lighter, "-H", `unix://${socket}`, "ps", "--format", "{{.ID}} {{.Names}}"]);
      const said = await Promise.all([
        new Response(child.stdout as never).text(),
        new Response(child.stderr as never).text(),
      ]);
      expect(said).toEqual(["0123456789ab web\n", ""]);
    } finally {
      server.close();
    }
  });

  test(
    "the pure tests of what depends on the machine pass",
    () => {
      const [entry, program] = [join(folder, "tests.ts"), join(folder, "tests")];
      writeFileSync(entry, entryOf(pureTests(DEPENDS_ON_IT), folder));
      bun("scripts/build-small.ts", program, entry, `--target=${machine.arch}`);
      const { status, stdout } = spawnSync(emulator, [program], { encoding: "utf8", cwd: root });
      expect(stdout.split("\n").filter((line) => line.startsWith("(fail)"))).toEqual([]);
      expect(stdout).toMatch(/^(\d+) of \1 pass$/m);
      expect(status).toBe(0);
    },
    TIMEOUT_MS,
  );
});
