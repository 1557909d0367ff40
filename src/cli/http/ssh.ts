/** A connection that is the standard input and output of a command, ssh(1) most often. */
import { spawn } from "node:child_process";
import { LighterError } from "../../base/errors.ts";
import type { Events, Transport } from "./transport.ts";

/** What is kept of what the command says. */
const STDERR_MAX_CHARS = 4096;

/** Nothing is known to be wrong before the first byte is missed: the command's own error is then that of the connection. */
export function connectSsh([program = "", ...args]: readonly string[], events: Events): Transport {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  let isFull = false;
  child.stdout.on("data", (bytes: Buffer) => events.data(bytes));
  child.stderr.on("data", (bytes: Buffer) => {
    said = (said + bytes).slice(-STDERR_MAX_CHARS);
  });
  child.stdin.on("drain", () => {
    isFull = false;
    events.drain();
  });
  child.stdin.on("error", () => {}); // EPIPE: the command's end tells more
  const fail = (why: string) => events.error(new LighterError("unavailable", `${program}: ${why}`));
  child.on("error", (error: NodeJS.ErrnoException) =>
    fail(error.code === "ENOENT" ? "there is no such program here" : error.message),
  );
  // After all that it wrote has been read.
  child.on("close", (code, signal) => {
    if (code === 0) events.end();
    else fail(said.trim() || `ended with ${signal ?? code}`);
  });
  return {
    write(bytes) {
      if (isFull) return 0;
      isFull = !child.stdin.write(Buffer.from(bytes)); // a copy: the caller may use its own again
      return bytes.length;
    },
    shutdown: () => void child.stdin.end(),
    pause: () => void child.stdout.pause(),
    resume: () => void child.stdout.resume(),
    end() {
      child.stdin.end();
      child.stdout.destroy();
      child.kill();
      return 0;
    },
  };
}
