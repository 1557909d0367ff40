/** Runs programs of the host. */
import { spawn } from "node:child_process";
import { LighterError, messageOf } from "../../base/errors.ts";
import { PROGRAM_OUTPUT_MAX_BYTES, PROGRAM_TIMEOUT_MS } from "../../base/limits.ts";

/** The directories of the host's programs, whatever PATH this process was started with. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

interface ProgramResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program of the host and waits for its end. It reads `input`.
 * @throws LighterError "internal" if it cannot be run, takes too long, writes too much or dies of a signal
 */
export function runProgram(name: string, args: readonly string[], input = ""): Promise<ProgramResult> {
  const child = spawn(name, args, { env: { PATH }, cwd: "/", stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {}); // it may end without having read all: its exit code tells
  child.stdin.end(input);
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let byteCount = 0;
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      child.kill("SIGKILL");
      reject(new LighterError("internal", `${name}: ${why}`));
    };
    const timer = setTimeout(() => fail("it takes too long"), PROGRAM_TIMEOUT_MS);
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (chunk: Buffer) => {
        byteCount += chunk.length;
        if (byteCount > PROGRAM_OUTPUT_MAX_BYTES) fail("it writes too much");
        else chunks[stream].push(chunk);
      });
    child.once("error", (error) => {
      clearTimeout(timer);
      fail(messageOf(error));
    });
    child.once("close", (exitCode, signal) => {
      clearTimeout(timer);
      if (exitCode === null) fail(`it was ended by ${signal}`);
      const text = (parts: Buffer[]) => Buffer.concat(parts).toString("utf8");
      resolve({ exitCode: exitCode ?? -1, stdout: text(chunks.stdout), stderr: text(chunks.stderr) });
    });
  });
}
