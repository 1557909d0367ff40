/** Runs programs of the host. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { LighterError, messageOf } from "../../base/errors.ts";
import { KILLED_PROGRAM_WAIT_MS, PROGRAM_OUTPUT_MAX_BYTES, PROGRAM_TIMEOUT_MS } from "../../base/limits.ts";
import { settlesWithin } from "../../base/timer.ts";

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
  outputMaxBytes?: number;
  /** Called with its pid before it has any input. */
  onStart?: (pid: number) => void;
  /** Ends it, with the programs that it has started. */
  signal?: AbortSignal;
}

/**
 * Runs a program of the host and waits for its end, also when it has to be killed.
 * @throws LighterError "internal" if it cannot be run, takes too long, writes too much or dies of a signal; `signal`'s reason
 */
export function runProgram(
  name: string,
  args: readonly string[],
  { input = "", env = {}, directory = "/", signal, onStart, ...limits }: ProgramOptions = {},
): Promise<ProgramResult> {
  const { timeoutMs = PROGRAM_TIMEOUT_MS, outputMaxBytes = PROGRAM_OUTPUT_MAX_BYTES } = limits;
  signal?.throwIfAborted();
  // A process group of its own: what it has started is killed with it.
  const child = spawn(name, args, {
    env: { ...env, PATH: PROGRAMS_PATH },
    cwd: directory,
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  child.stdin.on("error", () => {}); // it may end without having read all: its exit code tells
  if (child.pid !== undefined) onStart?.(child.pid);
  child.stdin.end(input);
  const ended = once(child, "exit").catch(() => {}); // it could not be run
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let byteCount = 0;
  return new Promise((resolve, reject) => {
    let isEnding = false;
    const end = async (error: unknown) => {
      if (isEnding) return;
      isEnding = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      if (child.pid !== undefined) {
        killGroup(child.pid);
        await settlesWithin(ended, KILLED_PROGRAM_WAIT_MS);
      }
      reject(error);
    };
    const fail = (why: string) => void end(new LighterError("internal", `${name}: ${why}`));
    const timer = setTimeout(() => fail("it takes too long"), timeoutMs);
    const onAbort = () => void end(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (chunk: Buffer) => {
        byteCount += chunk.length;
        if (byteCount > outputMaxBytes) fail("it writes too much");
        else chunks[stream].push(chunk);
      });
    child.once("error", (error) => fail(messageOf(error)));
    child.once("close", (exitCode, killedBy) => {
      if (isEnding) return;
      if (exitCode === null) return fail(`it was ended by ${killedBy}`);
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      const text = (parts: Buffer[]) => Buffer.concat(parts).toString("utf8");
      resolve({ exitCode, stdout: text(chunks.stdout), stderr: text(chunks.stderr) });
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
