import { afterEach, expect } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { daemonProgram } from "../support/program.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** The program `lighter daemon`: its flags, its socket, and that there is only one. */

const rooted = testIf(isRoot, "needs root");
const cleanup: (() => unknown)[] = [];

afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-flags-"));
  cleanup.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Of a daemon that is not meant to stay. */
async function runDaemon(...args: string[]): Promise<Ended> {
  const child = spawn(daemonProgram, ["daemon", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const ended: Ended = { code: null, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (ended.stdout += chunk));
  child.stderr.on("data", (chunk) => (ended.stderr += chunk));
  ended.code = await new Promise((resolve) => child.on("close", resolve));
  return ended;
}

function rootsIn(directory: string): string[] {
  return ["--data-root", join(directory, "data"), "--exec-root", join(directory, "run")];
}

async function startDaemon(): Promise<TestDaemon> {
  const daemon = await TestDaemon.start();
  cleanup.push(() => daemon[Symbol.asyncDispose]());
  return daemon;
}

rooted("--help prints the flags and ends with 0", async () => {
  const { code, stdout } = await runDaemon("--help");
  expect(code).toBe(0);
  for (const flag of ["--host", "--data-root", "--exec-root"]) expect(stdout).toContain(flag);
});

rooted("wrong usage ends with 125 and a reason", async () => {
  for (const [args, reason] of [
    [["--nonesuch"], "nonesuch"],
    [["-H", "tcp://0.0.0.0:1"], "without --tlsverify gives root on this machine"],
    [["-H", "unix://relative"], "is none of unix:///path/to/socket"],
    [["--data-root", "relative"], "--data-root: must be an absolute path"],
    [["extra"], "extra"],
  ] as const) {
    const { code, stderr } = await runDaemon(...args);
    expect(code).toBe(125);
    expect(stderr).toStartWith("lighter daemon: ");
    expect(stderr).toContain(reason);
  }
});

rooted("the socket is for root and its group whatever the umask; directories cannot be listed by others", async () => {
  const umask = process.umask(0);
  const daemon = await startDaemon().finally(() => process.umask(umask));
  expect(statSync(daemon.socketPath).mode & 0o777).toBe(0o660);
  expect([daemon.dataRoot, daemon.execRoot].map((path) => statSync(path).mode & 0o777)).toEqual([0o710, 0o711]);
  for (const path of [join(daemon.execRoot, "c"), join(daemon.dataRoot, "image")])
    expect(statSync(path).mode & 0o777).toBe(0o700);
  const id = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr });
  expect(statSync(join(daemon.dataRoot, "containers", id)).mode & 0o777).toBe(0o700);
});

rooted("a second daemon in the same place ends with a reason and leaves the first in peace", async () => {
  const daemon = await startDaemon();
  const directory = temporaryDirectory();
  const elsewhere = `unix://${join(directory, "s")}`;
  const sameExecRoot = ["--data-root", join(directory, "data"), "--exec-root", daemon.execRoot];
  const sameDataRoot = ["--data-root", daemon.dataRoot, "--exec-root", join(directory, "run")];
  for (const [args, reason] of [
    [["-H", elsewhere, ...sameExecRoot], "another daemon is running here"],
    [["-H", elsewhere, ...sameDataRoot], "in use by another process"],
    [["-H", `unix://${daemon.socketPath}`, ...rootsIn(directory)], "another program serves it"],
  ] as const) {
    const { code, stderr } = await runDaemon(...args);
    expect(stderr).toContain(reason);
    expect(code).toBe(1);
  }
  expect((await daemon.request("GET", "/_ping")).text).toBe("OK");
});

rooted("the socket of a daemon that was killed is taken over, anything else in its place is not", async () => {
  const daemon = await startDaemon();
  await daemon.kill();
  expect(existsSync(daemon.socketPath)).toBe(true);
  await daemon.launch();
  expect((await daemon.request("GET", "/_ping")).text).toBe("OK");
  const directory = temporaryDirectory();
  const path = join(directory, "file");
  writeFileSync(path, "precious");
  const { code, stderr } = await runDaemon("-H", `unix://${path}`, ...rootsIn(directory));
  expect(code).toBe(1);
  expect(stderr).toContain("there is a file that is no socket");
  expect(statSync(path).size).toBe(8);
});

rooted("the daemon says which builder clients are to use", async () => {
  const daemon = await startDaemon();
  const builder = async () => (await daemon.request("GET", "/_ping")).headers["builder-version"];
  expect(await builder()).toBe("2");
  await daemon.kill();
  await daemon.launch({}, ["--feature", "buildkit=false"]);
  expect(await builder()).toBe("1");
});

rooted("another program's live socket is left alone", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "s");
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanup.push(() => server.close());
  mkdirSync(join(directory, "x"));
  const { code, stderr } = await runDaemon("-H", `unix://${path}`, ...rootsIn(join(directory, "x")));
  expect(code).toBe(1);
  expect(stderr).toContain("another program serves it");
});

rooted("SIGTERM ends the daemon and nothing else; a socket that took its own's place stays", async () => {
  const daemon = await startDaemon();
  const id = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr });
  const { Pid } = (await daemon.inspect(id)).State;
  process.kill(daemon.pid, "SIGTERM");
  expect(await daemon.ended()).toEqual([0, null]);
  process.kill(Pid, 0); // throws if it is gone
  expect(existsSync(daemon.socketPath)).toBe(false);
  await daemon.launch();
  expect((await daemon.inspect(id)).State).toMatchObject({ Status: "running", Pid });
  rmSync(daemon.socketPath);
  writeFileSync(daemon.socketPath, "");
  process.kill(daemon.pid, "SIGTERM");
  expect(await daemon.ended()).toEqual([0, null]);
  expect(existsSync(daemon.socketPath)).toBe(true);
  rmSync(daemon.socketPath);
  await daemon.launch();
});
