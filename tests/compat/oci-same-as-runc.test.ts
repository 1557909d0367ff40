/** Our command line beside runc's: the same arguments, what is said and how it ends compared. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { testIf } from "../support/test-if.ts";
import { Scratch, whyNot } from "./oci-support.ts";

const reason = whyNot("runc", "busybox");
const check = testIf(reason === undefined, reason ?? "");
let scratch: Scratch;
let folder = "";
beforeAll(() => {
  scratch = new Scratch();
  folder = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-beside-"));
});
afterAll(() => {
  for (const program of Object.values(programs())) run(program, ["delete", "--force", "box"]);
  scratch[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Program {
  name: "runc" | "lighter-runtime";
  path: string;
}

const programs = (): { runc: Program; ours: Program } => ({
  runc: { name: "runc", path: "runc" },
  ours: { name: "lighter-runtime", path: scratch.runtime },
});

/** Each with a root of its own, of the same length. Program names, roots and times are made the same. */
function run({ name, path }: Program, args: readonly string[], cwd = folder) {
  const root = join(folder, name === "runc" ? "root-1" : "root-2");
  const done = spawnSync(path, ["--root", root, ...args], {
    encoding: "utf8",
    cwd,
    // The container's are its caller's: with pipes we would wait for its end.
    stdio: args[0] === "create" ? "ignore" : ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });
  const plain = (text: string) =>
    text
      .replaceAll(root, "ROOT")
      .replaceAll(name, "PROGRAM")
      .replace(/ {2,}/g, "  ") // columns are as wide as times, whose decimals differ
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z */g, "TIME ");
  return { code: done.status, stdout: plain(done.stdout ?? ""), stderr: plain(done.stderr ?? "") };
}

function bundle(name: string, config: object): string {
  const directory = join(folder, name);
  mkdirSync(join(directory, "rootfs/bin"), { recursive: true });
  copyFileSync(Bun.which("busybox")!, join(directory, "rootfs/bin/busybox"));
  if (!existsSync(join(directory, "rootfs/bin/sh"))) symlinkSync("busybox", join(directory, "rootfs/bin/sh"));
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  return directory;
}

/** What runc's own `spec` makes, with a command. */
function config(...args: string[]): { process: object } & Record<string, unknown> {
  const directory = mkdtempSync(join(folder, "spec-"));
  run(programs().runc, ["spec", "--bundle", directory]);
  const made = JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));
  return { ...made, process: { ...made.process, terminal: false, args }, annotations: { "org.example": "a b" } };
}

describe("errors", () => {
  check.each<[string[]]>([
    [["state", "none"]],
    [["state", "a/b"]],
    [["state", ".."]],
    [["kill", "none", "KILL"]],
    [["delete", "none"]],
    [["delete", "--force", "none"]],
    [["start", "none"]],
    [["pause", "none"]],
    [["resume", "none"]],
    [["list", "--format", "xml"]],
    [["--log-format", "xml", "list"]],
  ])("of %j are runc's, word for word", (args) => {
    const { runc, ours } = programs();
    expect(run(ours, args)).toEqual(run(runc, args));
  });

  check.each<[string[]]>([
    [["state"]],
    [["state", "a", "b"]],
    [["list", "a"]],
    [["state", "--bogus", "a"]],
    [["--bogus", "list"]],
    [["create"]],
    [["kill"]],
    [["exec", "--user"]],
  ])("of wrong use, %j, are runc's, without the help that it prints", (args) => {
    const { runc, ours } = programs();
    const { code, stderr } = run(runc, args);
    expect(run(ours, args)).toEqual({ code, stderr, stdout: "" });
  });

  check("are in the JSON log and, plain, on stderr", () => {
    const { runc, ours } = programs();
    const said = [runc, ours].map((program) => {
      const log = join(folder, `${program.name}.json`);
      const outcome = run(program, ["--log", log, "--log-format", "json", "state", "none"]);
      return { ...outcome, log: readFileSync(log, "utf8").replace(/"time":"[^"]+"/, "") };
    });
    expect(said[1]).toEqual(said[0]);
    expect(said[1]?.log).toContain('"msg":"container does not exist"');
  });
});

check("an empty list is shown as by runc", () => {
  const { runc, ours } = programs();
  for (const args of [["list"], ["list", "--format", "json"], ["list", "-q"]])
    expect(run(ours, args)).toEqual(run(runc, args));
});

check("a container's state and the list are runc's through its life", () => {
  const { runc, ours } = programs();
  const directory = bundle("box", config("/bin/sh", "-c", "exec /bin/busybox sleep 600"));
  const life = [runc, ours].map((program) => {
    const seen: object[] = [];
    const look = () => {
      for (const args of [["state", "box"], ["list", "-f", "json"], ["list"], ["list", "--quiet"]]) {
        const outcome = run(program, args);
        seen.push({
          ...outcome,
          stdout: outcome.stdout.replace(/"pid": ?[1-9]\d*/, "PID").replace(/\b\d{2,7} +(?=\w+ed|running)/, "PID "),
        });
      }
    };
    const create = () => run(program, ["create", "--bundle", directory, "box"]).code;
    seen.push({ create: create(), again: create() });
    look();
    seen.push(run(program, ["start", "box"]));
    seen.push({ pause: run(program, ["pause", "box"]).code });
    look();
    seen.push({ resume: run(program, ["resume", "box"]).code, delete: run(program, ["delete", "box"]).code });
    look();
    seen.push({ delete: run(program, ["delete", "--force", "box"]).code });
    look();
    return seen;
  });
  expect(life[1]).toEqual(life[0]!);
});

check("spec writes what runc's does, but for names and ambient capabilities", () => {
  const { runc, ours } = programs();
  for (const flags of [[], ["--rootless"]]) {
    const [theirs, own] = [runc, ours].map((program) => {
      const directory = mkdtempSync(join(folder, "spec-"));
      expect(run(program, ["spec", ...flags, "--bundle", directory]).code).toBe(0);
      expect(run(program, ["spec", ...flags], directory)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("File config.json exists. Remove it first"),
      });
      const text = readFileSync(join(directory, "config.json"), "utf8");
      expect(text).toContain('{\n\t"ociVersion"');
      return JSON.parse(text);
    });
    delete theirs.process.capabilities.ambient;
    theirs.hostname = "lighter";
    expect(theirs.linux.namespaces).not.toContainEqual({ type: "cgroup" }); // since runc 1.2, on cgroup v2
    if (detectCgroupHost().mode === "unified")
      theirs.linux.namespaces = expect.arrayContaining([...theirs.linux.namespaces, { type: "cgroup" }]);
    expect(own).toEqual(theirs);
  }
});

check("features claims all that runc's does, but for mount options that only some file systems have", () => {
  const { runc, ours } = programs();
  const [theirs, own] = [runc, ours].map((program) => JSON.parse(run(program, ["features"]).stdout));
  const lacking = (kind: string[], of: string[]) => kind.filter((name) => !of.includes(name)).sort();
  expect(lacking(theirs.hooks, own.hooks)).toEqual([]);
  expect(lacking(theirs.linux.namespaces, own.linux.namespaces)).toEqual([]);
  expect(lacking(theirs.linux.capabilities, own.linux.capabilities)).toEqual([]);
  expect(lacking(theirs.linux.seccomp.actions, own.linux.seccomp.actions)).toEqual([]);
  expect(lacking(theirs.linux.seccomp.operators, own.linux.seccomp.operators)).toEqual([]);
  expect(lacking(theirs.linux.seccomp.archs, own.linux.seccomp.archs)).toEqual([]);
  const ofFileSystems = ["acl", "iversion", "loud", "mand", "noacl", "noiversion", "nomand", "silent"];
  expect(lacking(lacking(theirs.mountOptions, own.mountOptions), ofFileSystems)).toEqual([]);
  expect(own.linux.cgroup).toMatchObject({ v1: true, v2: true, systemd: true });
});

check("--version is of the form that callers parse", () => {
  const { runc, ours } = programs();
  const form = /^PROGRAM version \S+\n(?:commit: \S+\n)?spec: 1\.2\.0\n/;
  for (const program of [runc, ours])
    for (const flag of ["--version", "-v"])
      expect(run(program, [flag])).toMatchObject({ code: 0, stdout: expect.stringMatching(form) });
});
