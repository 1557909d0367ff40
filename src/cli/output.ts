/**
 * Output of the command line: stdout and stderr, written in order, without blocking signals, and harmless on a
 * terminal.
 */
import { write } from "node:fs";
import { utf8 } from "../base/bytes.ts";
import { errnoOf } from "../base/errors.ts";
import { openTwin, tryWrite } from "../linux/sys/output-fd.ts";
import { isTerminal } from "../linux/sys/tty.ts";
import { escapeControls, holdsControls } from "./format/harmless.ts";

/** The reader of our stdout or stderr has gone: the command ends silently, as one killed by SIGPIPE would. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/**
 * One of our own output fds. Bytes leave in order, and none is buffered once `write` has settled.
 *
 * A plain blocking write(2) would stop signals from being forwarded while a slow reader (`| less`) holds the pipe full.
 * So a pipe is opened a second time through /proc, which gives a description of its own that can be non-blocking
 * without changing the one shared with other processes; when it is full, a pool thread does the blocking write. The
 * pool takes a millisecond to start, so it is not always used.
 */
export class OutputStream {
  readonly #fd: number;
  #fastFd: number | undefined;
  #tail: Promise<void> | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Settles when every byte is with the kernel; returns undefined if that is already so.
   * @throws OutputClosed
   */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#tail !== undefined) return this.#enqueue(bytes);
    this.#fastFd ??= openTwin(this.#fd); // closed when we exit
    const fastFd = this.#fastFd;
    let done = 0;
    while (done < bytes.length) {
      const rest = bytes.subarray(done);
      const count = tryWrite(fastFd, rest);
      if (typeof count === "number") done += count;
      else if (count === "EAGAIN") return this.#enqueue(rest);
      else if (count !== "EINTR") throw failure(this.#fd, count);
    }
    return undefined;
  }

  /** Writes text of any origin: on a terminal its control characters are shown, not obeyed. */
  text(text: string): Promise<void> | undefined {
    return this.control(holdsControls(text) && this.#isTerminal() ? escapeControls(text) : text);
  }

  /** Writes our own text, which may move the cursor. */
  control(text: string): Promise<void> | undefined {
    return this.write(utf8(text));
  }

  #isTerminal(): boolean {
    return isTerminal(this.#fd);
  }

  /**
   * Settles when all earlier writes have settled.
   * @throws OutputClosed
   */
  async flush(): Promise<void> {
    await this.#tail;
  }

  /** `bytes` must not be changed by the caller until the promise settles. */
  #enqueue(bytes: Uint8Array): Promise<void> {
    const tail = (this.#tail ?? Promise.resolve()).then(() => writeAll(this.#fd, bytes));
    this.#tail = tail;
    const clear = () => {
      if (this.#tail === tail) this.#tail = undefined;
    };
    tail.then(clear, clear);
    return tail;
  }
}

async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += await new Promise<number>((resolve, reject) =>
        write(fd, bytes, done, bytes.length - done, null, (error, count) => (error ? reject(error) : resolve(count))),
      );
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EINTR") continue;
      if (errno !== "EAGAIN") throw failure(fd, errno);
      // The fd is itself non-blocking (ssh sets this) and its reader is slow. There is no poll(2) here, so wait.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

function failure(fd: number, errno: string): Error {
  if (errno === "EPIPE") return new OutputClosed();
  return new Error(
    `write /dev/${fd === 1 ? "stdout" : "stderr"}: ${errno === "ENOSPC" ? "no space left on device" : errno}`,
  );
}

export const stdout = new OutputStream(1);
export const stderr = new OutputStream(2);

/** Prints a line on stdout. */
export function printLine(line: string): Promise<void> | undefined {
  return stdout.text(`${line}\n`);
}

/** Prints a line on stderr. */
export function printError(line: string): Promise<void> | undefined {
  return stderr.text(`${line}\n`);
}
