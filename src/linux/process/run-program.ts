/** Runs programs of the host. */
import { spawn } from "node:child_process";
import { LighterError, messageOf } from "../../base/errors.ts";
import { PROGRAM_OUTPUT_MAX_BYTES, PROGRAM_TIMEOUT_MS } from "../../base/limits.ts";

/** The directories of the host's programs, whatever PATH this process was started with. */
export const PROGRAMS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

interface ProgramResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

interface ProgramOptions {
  /** What it reads. */
  input?: string;
  /** Its environment, besides PATH. */
  env?: Readonly<Record<string, string>>;
  directory?: string;
  timeoutMs?: number;
  /** Ends it, with the programs that it has started. */
  signal?: AbortSignal;
}

/**
 * Runs a program of the host and waits for its end.
 * @throws LighterError "internal" if it cannot be run, takes too long, writes too much or dies of a signal; `signal`'s reason
 */
export function runProgram(
  name: string,
  args: readonly string[],
  { input = "", env = {}, directory = "/", timeoutMs = PROGRAM_TIMEOUT_MS, signal }: ProgramOptions = {},
): Promise<ProgramResult> {
  signal?.throwIfAborted();
  // A process group of its own: what it has started is killed with it.
  const child = spawn(name, args, {
    env: { ...env, PATH: PROGRAMS_PATH },
    cwd: directory,
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  child.stdin.on("error", () => {}); // it may end without having read all: its exit code tells
  child.stdin.end(input);
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let byteCount = 0;
  return new Promise((resolve, reject) => {
    const end = (error: unknown) => {
      if (child.pid !== undefined) killGroup(child.pid);
      reject(error);
    };
    const fail = (why: string) => end(new LighterError("internal", `${name}: ${why}`));
    const timer = setTimeout(() => fail("it takes too long"), timeoutMs);
    const onAbort = () => end(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (chunk: Buffer) => {
        byteCount += chunk.length;
        if (byteCount > PROGRAM_OUTPUT_MAX_BYTES) fail("it writes too much");
        else chunks[stream].push(chunk);
      });
    child.once("error", (error) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      fail(messageOf(error));
    });
    child.once("close", (exitCode, killedBy) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      if (exitCode === null) fail(`it was ended by ${killedBy}`);
      const text = (parts: Buffer[]) => Buffer.concat(parts).toString("utf8");
      resolve({ exitCode: exitCode ?? -1, stdout: text(chunks.stdout), stderr: text(chunks.stderr) });
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended
  }
}
