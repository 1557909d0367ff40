/** Offers a daemon on this host descriptors of large files in place of their bytes, see spec/file-range.ts. */
import { closeSync, openSync } from "node:fs";
import { utf8 } from "../../base/bytes.ts";
import { errnoOf } from "../../base/errors.ts";
import { sendWithFdsPatiently } from "../../linux/sys/stream-bytes.ts";
import { FILES_HEADER, type FileRange, formatFileChunk, TAKES_FILES } from "../../spec/file-range.ts";

/** How long to wait for what a daemon says to the offer. One that does not know what it means need not say anything. */
const ANSWER_MS = 1000;
/** How many ranges are under way: the daemon always has something to do, and few descriptors are in the socket. */
const UNCONFIRMED_MAX = 4;

/** The offer of one request. */
export class FileOffer {
  /** What the request's head says of it. */
  readonly headers = { [FILES_HEADER]: "1", Expect: "100-continue" };

  #isTaken = false;
  #isOver = false;
  #unconfirmed = 0;
  readonly #statuses: number[] = [];
  #wake: (() => void) | undefined;

  /** Whether the body may have ranges. Known when the first piece of the body is asked for. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Tells of an interim answer. */
  receive(status: number): void {
    this.#statuses.push(status);
    this.#wake?.();
  }

  /** Tells that no interim answer will come: there is a final one, or none. */
  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  /** Finds out whether the offer is taken, when the head has been sent. */
  async settle(socketFd: number): Promise<void> {
    if ((await this.#next(ANSWER_MS)) !== TAKES_FILES) return;
    // A program in between may pass bytes on and lose descriptors.
    const fd = openSync("/dev/null", "r");
    try {
      if (!pass(socketFd, { fd, offset: 0, length: 0 })) return;
    } finally {
      closeSync(fd);
    }
    this.#isTaken = (await this.#next()) === TAKES_FILES;
  }

  /** Sends a range; all that was written before must have reached the kernel. Returns false if nobody wants it any more. */
  async send(socketFd: number, range: FileRange): Promise<boolean> {
    for (; this.#unconfirmed >= UNCONFIRMED_MAX; this.#unconfirmed--)
      if ((await this.#next()) === undefined) return false;
    this.#unconfirmed++;
    return pass(socketFd, range);
  }

  /** The next interim answer's status; undefined if there is none in time. */
  async #next(timeoutMs?: number): Promise<number | undefined> {
    if (this.#statuses.length === 0 && !this.#isOver) {
      let timer: Timer | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs);
      });
      this.#wake = undefined;
      clearTimeout(timer);
    }
    return this.#statuses.shift();
  }
}

/** Returns false if the other end has closed. */
function pass(socketFd: number, range: FileRange): boolean {
  try {
    sendWithFdsPatiently(socketFd, utf8(formatFileChunk(range)), [range.fd], () => {});
    return true;
  } catch (error) {
    if (["EPIPE", "ECONNRESET"].includes(errnoOf(error))) return false;
    throw error;
  }
}
