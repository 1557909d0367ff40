/** The C programs are the same, whichever C library is linked into them. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { C_FLAGS, compilerCommand, launcherSources, runtimeSources } from "../scripts/c-compiler.ts";
import { encodeProgram } from "../src/linux/program/encode.ts";
import { eventually } from "./support/eventually.ts";
import { harmlessProgram, launch } from "./support/launch.ts";
import { testIf } from "./support/test-if.ts";

const root = join(import.meta.dirname, "..");
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lighter-compilers-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Where it is then. */
function build(compiler: string[], name: string, sources: readonly string[]): string {
  const outPath = join(folder, name);
  const [program = "", ...args] = [
    ...[...compiler, ...C_FLAGS, "-o", outPath],
    ...sources.map((path) => join(root, path)),
  ];
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return outPath;
}

describe.each(["cc", "musl-gcc"])("%s", (name) => {
  const command = compilerCommand(name);
  const sources = globSync("launcher/*.c", { cwd: root });
  const here = testIf(command !== undefined, `there is no ${name} here`);

  here("builds a launcher without warnings that plays a program", async () => {
    const launcher = build(command!, `launcher-${name}`, launcherSources(sources));
    const bytes = encodeProgram(harmlessProgram(folder));
    expect(await launch(launcher, bytes, folder)).toEqual({ code: 0, signal: null, failure: undefined });
    expect(statSync(join(folder, "exit")).size).toBe(32);
  });

  here("builds a runtime without warnings that leaves what it does not know to the program beside it", () => {
    const runtime = build(command!, `runtime-${name}`, runtimeSources(sources));
    writeFileSync(join(folder, "lighter"), '#!/bin/sh\necho "$0" "$@"\nexit 9\n', { mode: 0o755 });
    expect(spawnSync(runtime, ["list", "-q"], { encoding: "utf8" })).toMatchObject({
      status: 9,
      stdout: `${join(folder, "lighter")} list -q\n`,
      stderr: "",
    });
  });

  describe("builds an init", () => {
    const init = () => join(folder, `init-${name}`);
    const run = (command: string[], path = process.env.PATH) =>
      spawnSync(init(), ["--", ...command], { encoding: "utf8", env: { PATH: path } });

    here("without warnings that ends as its command does", () => {
      build(command!, `init-${name}`, ["init/init.c"]);
      expect(run(["sh", "-c", "exit 7"])).toMatchObject({ status: 7, stderr: "" });
      expect(run(["/bin/sh", "-c", "kill -9 $$"])).toMatchObject({ status: 137, stderr: "" });
    });

    here("that says which command is not there, or cannot be executed", () => {
      const failed = (name: string, why: string) => `[lighter-init] exec ${name} failed: ${why}\n`;
      writeFileSync(join(folder, "closed"), "#!/bin/sh\n", { mode: 0o600 });
      for (const missing of ["", "lighter-missing", "/lighter/missing", `${folder}/closed/x`])
        expect(run([missing], `${folder}:/`).stderr).toContain(`[lighter-init] exec ${missing} failed: `);
      expect(run(["lighter-missing"])).toMatchObject({
        status: 127,
        stderr: failed("lighter-missing", "No such file or directory"),
      });
      expect(run(["closed"], `/lighter:${folder}:/bin`)).toMatchObject({
        status: 126,
        stderr: failed("closed", "Permission denied"),
      });
    });

    here("that runs a script without #!, by its path and by PATH", () => {
      writeFileSync(join(folder, "script"), 'echo "$0 $1"\n', { mode: 0o755 });
      expect(run([join(folder, "script"), "a"]).stdout).toBe(`${folder}/script a\n`);
      expect(run(["script", "b"], `/lighter:${folder}`).stdout).toBe(`${folder}/script b\n`);
    });

    here("that passes on signals, also those that a C library keeps for itself", async () => {
      for (const number of [1, 2, 10, 15, 32, 33, 34, 64]) {
        const child = spawn(init(), ["--", "/bin/sleep", "1000"], { stdio: "ignore" });
        const ended = once(child, "exit");
        await eventually(() => expect(readFileSync(commandOfChild(child.pid!), "utf8")).toBe("sleep\n"));
        process.kill(child.pid!, number);
        expect(await ended).toEqual([128 + number, null]);
      }
    });
  });
});

/** Tells what the only child of `pid` runs. No file is there while it has none. */
function commandOfChild(pid: number): string {
  return `/proc/${readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim()}/comm`;
}
