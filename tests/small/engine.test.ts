/** The small engine, with the project's own modules and tests in it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findQuickJs, machineOf } from "../../scripts/machine.ts";
import { describeIf } from "../support/test-if.ts";
import { entryOf, pureTests } from "./pure-tests.ts";

const root = join(import.meta.dirname, "../..");
const whyNot = findQuickJs(machineOf()) === undefined ? "needs libquickjs" : undefined;
const TIMEOUT_MS = 600_000; // a compiler runs, beside others

describeIf(whyNot)("the small engine", () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-small-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  function build(name: string, entry?: string): string {
    const path = join(folder, name);
    const args = [join(root, "scripts/build-small.ts"), path, ...(entry === undefined ? [] : [entry])];
    const { status, stderr } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      env: { ...process.env, SOURCE_DATE_EPOCH: "0" },
    });
    if (status !== 0) throw new Error(stderr);
    return path;
  }

  /** Builds a program of some lines. */
  function program(name: string, lines: string): string {
    const entry = join(folder, `${name}.ts`);
    const shims = join(root, "src/shims");
    const imports = `import "${shims}/globals.ts";\nimport { host } from "${shims}/host.ts";\n`;
    writeFileSync(entry, imports + lines);
    return build(name, entry);
  }

  let lighter = "";
  beforeAll(() => {
    lighter = build("lighter-small");
  }, TIMEOUT_MS);

  test(
    "runs the pure tests of all modules that the short commands consist of",
    () => {
      const paths = pureTests();
      expect(paths.length).toBeGreaterThan(80);
      const entry = join(folder, "tests.ts");
      writeFileSync(entry, entryOf(paths, folder));
      const { status, stdout } = spawnSync(build("tests", entry), { encoding: "utf8", cwd: root });
      const failures = stdout.split("\n").filter((line) => /^\(fail\)/.test(line));
      expect(failures).toEqual([]);
      expect(stdout).toMatch(/^(\d+) of \1 pass$/m);
      expect(status).toBe(0);
    },
    TIMEOUT_MS,
  );

  test("answers by itself: what needs no daemon", () => {
    const run = (...args: string[]) => spawnSync(lighter, args, { encoding: "utf8" });
    expect(run("--version")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringMatching(/^Lighter version /),
    });
    expect(run("nonsense")).toMatchObject({ status: 1, stdout: "" });
    expect(run("runtime", "--version").stdout).toMatch(/^lighter-runtime version /);
  });

  test("--debug shows where an error comes from: files and lines of the project", () => {
    const { status, stderr } = spawnSync(lighter, ["--debug", "-H", `unix://${folder}/none`, "ps"], {
      encoding: "utf8",
    });
    expect(status).toBe(1);
    const [said, ...stack] = stderr.trimEnd().split("\n");
    expect(said).toMatch(/^DaemonUnreachable: Cannot connect to the Lighter daemon/);
    const lines = stack.flatMap((line) => [...(/^ +at (\S+) \((src\/\S+):(\d+)\)$/.exec(line)?.slice(1) ?? [])]);
    expect(lines.length).toBeGreaterThan(9);
    for (let i = 0; i < lines.length; i += 3) {
      const text = readFileSync(join(root, lines[i + 1]!), "utf8").split("\n");
      expect(text.length).toBeGreaterThanOrEqual(Number(lines[i + 2]));
    }
    expect(lines[lines.indexOf("unreachable") + 1]).toBe("src/cli/http/client.ts");
  });

  test(
    "two builds in two places are the same, byte for byte",
    () => {
      mkdirSync(join(folder, "elsewhere"));
      expect(readFileSync(build("elsewhere/again")).equals(readFileSync(lighter))).toBe(true);
    },
    TIMEOUT_MS,
  );

  test("a full disk and a closed pipe are told by the exit code", () => {
    const full = openSync("/dev/full", "w");
    const { status, stderr } = spawnSync(lighter, ["--version"], { stdio: ["ignore", full, "pipe"], encoding: "utf8" });
    closeSync(full);
    expect([status, stderr]).toEqual([1, "write /dev/stdout: no space left on device\n"]);
    const fifo = join(folder, "fifo");
    spawnSync("mkfifo", [fifo]);
    const reader = openSync(fifo, "r+");
    const closed = openSync(fifo, "w");
    closeSync(reader);
    expect(spawnSync(lighter, ["--help"], { stdio: ["ignore", closed, "pipe"], encoding: "utf8" })).toMatchObject({
      status: 141, // as one that SIGPIPE ended
      signal: null,
      stderr: "",
    });
    closeSync(closed);
  });

  test(
    "a rejection that nobody handles ends it with code 125, its text and where it was",
    () => {
      const path = program(
        "rejected",
        `async function fails() { throw Object.assign(new RangeError("of mine"), { code: "E1" }); }
       host.onStart(() => { void fails(); setTimeout(() => console.log("too late"), 1000); });`,
      );
      const { status, stdout, stderr } = spawnSync(path, { encoding: "utf8" });
      expect([status, stdout]).toEqual([125, ""]);
      expect(stderr).toMatch(/^RangeError: of mine \{"code":"E1"\}\n +at fails \(\S*\/rejected\.ts:3\)/);
    },
    TIMEOUT_MS,
  );

  test(
    "what a shim does not have is refused by its name",
    () => {
      const path = program(
        "refused",
        `import { refused } from "${root}/tests/small/refused.ts";
         host.onStart(async () => {
           for (const [name, call] of Object.entries(refused))
             try {
               await call();
               console.log(name, "is taken");
             } catch (error) {
               if (!error.message.endsWith(name)) console.log(name, error);
             }
           process.exit(0);
         });`,
      );
      expect(spawnSync(path, { encoding: "utf8" })).toMatchObject({ status: 0, stdout: "", stderr: "" });
    },
    TIMEOUT_MS,
  );

  test(
    "a rejection that is handled in the same turn is none",
    () => {
      const path = program(
        "handled",
        `host.onStart(() => {
         const late = Promise.reject(new Error("handled"));
         Promise.resolve().then(() => late.catch(() => console.log("fine")));
       });`,
      );
      expect(spawnSync(path, { encoding: "utf8" })).toMatchObject({ status: 0, stdout: "fine\n", stderr: "" });
    },
    TIMEOUT_MS,
  );

  test.each([
    ["the arguments", "process.argv.length"],
    ["the environment", "process.env.HOME"],
    ["the kernel", "process.pid"],
  ])(
    "a module that reads %s while it is evaluated is not built",
    (_, expression) => {
      expect(() =>
        program("early", `export const early = ${expression};\nhost.onStart(() => console.log(early));`),
      ).toThrow();
    },
    TIMEOUT_MS,
  );
});
