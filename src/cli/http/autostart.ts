/**
 * Starts the daemon when a command finds none: exactly one for a socket, however many commands ask at the same time.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { printError } from "../output.ts";
import { DEFAULT_SOCKET_PATH } from "./host.ts";
import { Connection } from "./http.ts";

/** A cold start takes about 100 ms; a loaded machine ten times that. */
const START_TIMEOUT_MS = 10_000;
/** Directory of the daemon's default socket. */
const DEFAULT_EXEC_ROOT = dirname(DEFAULT_SOCKET_PATH);
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

/**
 * Starts the daemon for `socketPath` in a session of its own and waits until the socket answers. If several clients
 * find no daemon at the same time, one starts it and all wait. They use a lock file beside the socket, which names its
 * owner, so that a client killed in between does not lock the others out.
 * @throws LighterError ("unavailable") if nothing answers in time, naming the log
 */
export async function startDaemon(socketPath: string): Promise<void> {
  const execRoot = process.env.LIGHTER_EXEC_ROOT || DEFAULT_EXEC_ROOT;
  const logPath = join(execRoot, "daemon.log");
  const lockPath = `${socketPath}.starting`;
  try {
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o711 });
    mkdirSync(execRoot, { recursive: true, mode: 0o711 });
    const owner = takeLock(lockPath);
    try {
      // Another client may have started the daemon and released the lock since we found none.
      if (owner && (await answers(socketPath))) return;
      const saidBefore = sizeOf(logPath);
      const exit = owner ? spawnDaemon(socketPath, logPath) : undefined;
      await waitForAnswer(socketPath, { path: logPath, saidBefore }, exit);
      if (owner) await printError(`lighter: started the daemon (log: ${logPath})`);
    } finally {
      if (readOwner(lockPath) === process.pid) rmSync(lockPath, { force: true });
    }
  } catch (error) {
    if (error instanceof LighterError) throw error;
    throw new LighterError("unavailable", `start the daemon at ${socketPath}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * Returns true if we are to start the daemon, false if another living process is about to. The file appears with its
 * owner's pid in it, by link(2), so that nobody sees it empty.
 */
function takeLock(path: string): boolean {
  const ownPath = `${path}.${process.pid}`;
  writeFileSync(ownPath, String(process.pid), { mode: 0o600 });
  try {
    for (;;) {
      try {
        linkSync(ownPath, path);
        return true;
      } catch (error) {
        if (errnoOf(error) !== "EEXIST") throw error;
      }
      const pid = readOwner(path);
      if (pid === undefined) continue; // the lock was released just now
      if (isAlive(pid)) return false;
      removeStaleLock(path, pid);
    }
  } finally {
    rmSync(ownPath, { force: true });
  }
}

/**
 * Removes the lock of a dead owner, and puts it back if it belongs to a new owner by then. `pid` is NaN if the file has
 * no number.
 */
function removeStaleLock(path: string, pid: number): void {
  const takenPath = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, takenPath);
    if (!Object.is(readOwner(takenPath), pid)) linkSync(takenPath, path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "EEXIST") throw error;
  } finally {
    rmSync(takenPath, { force: true });
  }
}

/** Returns the pid in a lock file, or undefined if there is none. */
function readOwner(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/** Returns the command that runs this program: the executable, or when run from source, bun with the entry file. */
export function selfCommand(): string[] {
  const entry = process.argv[1];
  const compiled = entry === undefined || entry.startsWith("/$bunfs/");
  if (compiled) return [process.execPath];
  return [process.execPath, "--no-env-file", "--config=/dev/null", "--no-install", entry];
}

/** Starts the daemon. The promise settles only if the daemon ends, with its exit code. */
function spawnDaemon(socketPath: string, logPath: string): Promise<number | null> {
  const [file = "", ...args] = selfCommand();
  args.push("daemon");
  if (socketPath !== DEFAULT_SOCKET_PATH) args.push("--host", `unix://${socketPath}`);
  if (process.env.LIGHTER_DATA_ROOT) args.push("--data-root", process.env.LIGHTER_DATA_ROOT);
  if (process.env.LIGHTER_EXEC_ROOT) args.push("--exec-root", process.env.LIGHTER_EXEC_ROOT);
  const log = openSync(logPath, "a", 0o640);
  const env: NodeJS.ProcessEnv = { ...process.env };
  delete env.BUN_OPTIONS;
  delete env.BUN_BE_BUN;
  // "/": the daemon must not keep our working directory busy
  const child = spawn(file, args, { cwd: "/", detached: true, stdio: ["ignore", log, log], env });
  child.unref();
  closeSync(log);
  return new Promise((resolve, reject) => {
    child.once("exit", resolve);
    child.once("error", reject);
  });
}

async function answers(path: string): Promise<boolean> {
  try {
    (await Connection.open({ unix: path })).close();
    return true;
  } catch {
    return false; // nobody listens, or not yet
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Beginning of the last line that a daemon writes when it cannot start. */
const LAST_SENTENCE = "lighter daemon: ";

/** Returns the part of the log that says why our daemon ended. */
function whyItEnded(log: Log, code: number | null): string {
  const said = readFileSync(log.path).subarray(log.saidBefore).toString();
  const at = `\n${said}`.lastIndexOf(`\n${LAST_SENTENCE}`);
  return at < 0 ? `it ended with code ${code}, see ${log.path}` : said.slice(at + LAST_SENTENCE.length).trimEnd();
}

interface Log {
  path: string;
  /** Size of the log in bytes before our daemon wrote to it. */
  saidBefore: number;
}

async function waitForAnswer(path: string, log: Log, exit?: Promise<number | null>): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  let pause = FIRST_PAUSE_MS;
  let ended: { code: number | null } | undefined;
  exit?.then(
    (code) => {
      ended = { code };
    },
    () => {
      ended = { code: null };
    },
  );
  while (performance.now() < deadline) {
    if (await answers(path)) return;
    if (ended !== undefined) throw new LighterError("unavailable", `start the daemon: ${whyItEnded(log, ended.code)}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
  throw new LighterError(
    "unavailable",
    `start the daemon: no answer at ${path} in ${START_TIMEOUT_MS / 1000} s, see ${log.path}`,
  );
}
