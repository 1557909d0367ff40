/** Signals to the command line, at moments that only a daemon which does not answer can hold. */
import { expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lighterCommand } from "./cli-support.ts";

/** The bit of SIGTERM in the masks of proc_pid_status(5). */
const TERM_BIT = 1n << 14n;

/** By a handler or, blocked, through a signalfd(2). */
function catchesTerm(pid: number): boolean {
  const masks = readFileSync(`/proc/${pid}/status`, "latin1").matchAll(/^Sig(?:Cgt|Blk):\s*([0-9a-f]+)$/gm);
  return [...masks].some(([, mask]) => (BigInt(`0x${mask}`) & TERM_BIT) !== 0n);
}

/** Lighter's own daemon is asked in another way than one that is named as Docker's. */
const HOSTS = [
  ["LIGHTER_HOST", "/lighter/run"],
  ["DOCKER_HOST", "/containers/create"],
] as const;

test.each(HOSTS)("run: while the container is being created a signal ends the client (%s)", async (variable, path) => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-signals-"));
  const socketPath = join(folder, "d.sock");
  const asked = Promise.withResolvers<string | undefined>();
  let child: ChildProcess | undefined;
  const server = createServer((request) => asked.resolve(request.url));
  try {
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    const [program = "", ...args] = [...lighterCommand, "run", "busybox"];
    child = spawn(program, args, {
      env: { PATH: process.env.PATH, HOME: folder, [variable]: `unix://${socketPath}` },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = once(child, "exit");
    expect(await asked.promise).toContain(path);
    while (!catchesTerm(child.pid!)) await new Promise(setImmediate);
    child.kill("SIGTERM");
    expect(await ended).toEqual([null, "SIGTERM"]);
  } finally {
    child?.kill("SIGKILL");
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  }
});
