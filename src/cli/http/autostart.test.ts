import { afterEach, beforeEach, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SOURCE = join(import.meta.dirname, "../mod.ts");

/**
 * A program as `lighter` is one: the command line, and with "daemon" a daemon that writes down how it was started and
 * answers every request with an empty list.
 */
const PROGRAM = `
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
const args = process.argv.slice(2);
if (args[0] === "daemon") {
  const session = readFileSync("/proc/self/stat", "utf8").replace(/.*\\) /, "").split(" ")[3];
  appendFileSync(process.env.STARTS_PATH, JSON.stringify({ args, pid: process.pid, session, cwd: process.cwd() }) + "\\n");
  if (process.env.FAIL) { console.error(process.env.FAIL); process.exit(3); }
  rmSync(args[2].replace("unix://", ""), { force: true });
  createServer((request, response) => response.end("[]")).listen(args[2].replace("unix://", ""));
} else {
  const { cliMain } = await import(${JSON.stringify(SOURCE)});
  process.exit(await cliMain(args));
}
`;

let folder: string;
let socketPath: string;
let env: Record<string, string>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lighter-autostart-"));
  socketPath = join(folder, "run/l.sock");
  writeFileSync(join(folder, "main.ts"), PROGRAM);
  env = {
    PATH: process.env.PATH ?? "",
    HOME: process.env.HOME ?? "/",
    STARTS_PATH: join(folder, "starts"),
    LIGHTER_HOST: `unix://${socketPath}`,
    LIGHTER_EXEC_ROOT: join(folder, "exec"),
    LIGHTER_DATA_ROOT: join(folder, "data"),
  };
});

afterEach(() => {
  for (const { pid } of starts())
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // ended by itself
    }
  rmSync(folder, { recursive: true });
});

interface Start {
  args: string[];
  pid: number;
  session: string;
  cwd: string;
}

function starts(): Start[] {
  const path = join(folder, "starts");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Start);
}

async function lighter(args: string[], more: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(folder, "main.ts"), ...args], { env: { ...env, ...more }, cwd: folder });
  const out = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    out.stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { ...out, code };
}

/** Resolves when it answers no more: on a busy machine a killed process still takes a connection. */
async function kill(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  while (await accepts(socketPath)) await new Promise((resolve) => setTimeout(resolve, 5));
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

const started = () => `lighter: started the daemon (log: ${join(folder, "exec/daemon.log")})\n`;

test("the first command starts the daemon in a session of its own, says so, and the second finds it", async () => {
  expect(await lighter(["ps", "-q"])).toEqual({ stdout: "", stderr: started(), code: 0 });
  expect(await lighter(["ps", "-q"])).toEqual({ stdout: "", stderr: "", code: 0 });
  const [start, ...others] = starts();
  expect(others).toEqual([]);
  const roots = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")];
  expect(start?.args).toEqual(["daemon", "--host", `unix://${socketPath}`, ...roots]);
  expect(start?.session).toBe(String(start?.pid));
  expect(start?.cwd).toBe("/");
  expect(existsSync(`${socketPath}.starting`)).toBe(false);
});

test("of many clients at the same time one starts it, and all are served", async () => {
  const results = await Promise.all(Array.from({ length: 6 }, () => lighter(["ps", "-q"])));
  expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(results.filter(({ stderr }) => stderr !== "").map(({ stderr }) => stderr)).toEqual([started()]);
  expect(starts().length).toBe(1);
});

test("what a client killed in between left behind does not stop the next", async () => {
  const dead = spawnSync("true").pid;
  expect((await lighter(["ps", "-q"])).code).toBe(0);
  await kill(starts()[0]?.pid ?? 0);
  writeFileSync(`${socketPath}.starting`, String(dead));
  expect(await lighter(["ps", "-q"])).toMatchObject({ stderr: started(), code: 0 });
  expect(starts().length).toBe(2);
});

test("a daemon that does not come up is an error that names its log", async () => {
  const log = join(folder, "exec/daemon.log");
  const message = `start the daemon: it ended with code 3, see ${log}`;
  const FAIL = "no luck today";
  expect(await lighter(["ps"], { FAIL })).toEqual({ stdout: "", stderr: `${message}\n`, code: 1 });
  expect(readFileSync(log, "utf8")).toBe("no luck today\n");
  const run = await lighter(["run", "x"], { FAIL });
  expect(run).toMatchObject({ code: 125, stderr: `lighter: ${message}.\nSee 'lighter run --help'.\n` });
});

test("what the daemon says when it does not come up is the error, and not what another said before it", async () => {
  const other = "lighter daemon: the one before";
  expect((await lighter(["ps"], { FAIL: other })).stderr).toBe("start the daemon: the one before\n");
  const FAIL = 'time="now" level=info msg="begins"\nlighter daemon: configuration "x": it is broken';
  const stderr = 'start the daemon: configuration "x": it is broken\n';
  expect(await lighter(["ps"], { FAIL })).toEqual({ stdout: "", stderr, code: 1 });
  expect((await lighter(["ps"], { FAIL: "hm" })).stderr).toContain("it ended with code 3, see ");
});

test("another socket than the default one, and nobody says where its daemon has its data: nothing is started", async () => {
  for (const unset of ["LIGHTER_DATA_ROOT", "LIGHTER_EXEC_ROOT"]) {
    const refused = { code: 1, stderr: expect.stringContaining("Cannot connect to the Lighter daemon") };
    expect(await lighter(["ps"], { [unset]: "" })).toMatchObject(refused);
    const named = { [unset]: "", LIGHTER_HOST: "" };
    expect(await lighter(["-H", `unix://${socketPath}`, "ps"], named)).toMatchObject(refused);
  }
  expect(starts()).toEqual([]);
});

test("DOCKER_HOST names somebody else's daemon: nothing is started", async () => {
  const result = await lighter(["ps"], { LIGHTER_HOST: "", DOCKER_HOST: `unix://${socketPath}` });
  expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("Cannot connect to the Lighter daemon") });
  expect(starts()).toEqual([]);
});

test("--help and wrong usage start nothing", async () => {
  expect(await lighter(["run", "--help"])).toMatchObject({ code: 0, stdout: expect.stringContaining("--volume list") });
  expect(await lighter(["help", "ps"])).toEqual(await lighter(["ps", "--help"]));
  expect(await lighter([])).toMatchObject({ code: 0, stdout: expect.stringContaining("  explain ") });
  expect((await lighter(["run", "--nope"])).code).toBe(125);
  expect((await lighter(["run", "-m", "x", "image"])).code).toBe(125);
  expect((await lighter(["logs"])).code).toBe(1);
  expect(starts()).toEqual([]);
});
