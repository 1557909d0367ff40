/** A connection through the standard input and output of a command, most often ssh(1). */
import { spawn } from "node:child_process";
import { LighterError } from "../../base/errors.ts";
import type { Events, Transport } from "./transport.ts";

/** How much of the command's stderr is kept. */
const STDERR_MAX_CHARS = 4096;

/**
 * Starts the command. That it fails is known only when the first byte is missing: the command's own error then becomes
 * that of the connection.
 */
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
  // By "close" all that the command wrote has been read.
  child.on("close", (code, signal) => {
    if (code === 0) events.end();
    else fail(said.trim() || `ended with ${signal ?? code}`);
  });
  return {
    write(bytes) {
      if (isFull) return 0;
      isFull = !child.stdin.write(Buffer.from(bytes)); // a copy: the caller may reuse its buffer
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
