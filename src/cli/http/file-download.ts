/**
 * An answer of which parts may be in files that the daemon has opened, see spec/file-range.ts. It is read by hand: the descriptors are
 * lost if anybody else reads from the socket.
 */
import { closeSync } from "node:fs";
import { utf8 } from "../../base/bytes.ts";
import { FILE_INPUT_BYTES } from "../../base/limits.ts";
import { receiveWithFds, sendWithFds } from "../../linux/sys/passed-fds.ts";
import { waitForBytes } from "../../linux/sys/stream-bytes.ts";
import { connectUnixFd } from "../../linux/sys/unix-socket.ts";
import { FILES_HEADER, type FileRange } from "../../spec/file-range.ts";
import { ConnectionDropped, DescriptorLost } from "./http.ts";
import { type ResponseHead, ResponseParser } from "./http-parser.ts";

export class FileDownload implements Disposable {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(FILE_INPUT_BYTES);
  readonly #parser: ResponseParser;
  #head: ResponseHead | undefined;
  #pieces: (Uint8Array | Omit<FileRange, "fd">)[] = [];
  #passedFd: number | undefined;
  #isDone = false;

  /** Sends the request. @throws if nobody listens there */
  constructor(socketPath: string, path: string) {
    this.#fd = connectUnixFd(socketPath);
    this.#parser = new ResponseParser({
      head: (head) => {
        this.#head = head;
      },
      body: (bytes) => void this.#pieces.push(bytes),
      range: (range) => void this.#pieces.push(range),
      end: () => {
        this.#isDone = true;
      },
    });
    sendWithFds(this.#fd, utf8(`GET ${path} HTTP/1.1\r\nHost: lighter\r\n${FILES_HEADER}: 1\r\n\r\n`), []);
  }

  /** The answer's head. Waits for it. */
  get head(): ResponseHead {
    while (this.#head === undefined) this.#receive();
    return this.#head;
  }

  /** The body. A piece is valid, and a range's file open, until the next one is asked for. @throws DescriptorLost */
  *pieces(): Generator<Uint8Array | FileRange> {
    for (;;) {
      for (const piece of this.#pieces.splice(0))
        if (piece instanceof Uint8Array) yield piece;
        else yield* this.#withFd(piece);
      if (this.#isDone) return;
      this.#receive();
    }
  }

  *#withFd(range: Omit<FileRange, "fd">): Generator<FileRange> {
    const fd = this.#passedFd;
    if (fd === undefined) throw new DescriptorLost();
    this.#passedFd = undefined;
    try {
      yield { ...range, fd };
    } finally {
      closeSync(fd);
    }
  }

  #receive(): void {
    waitForBytes(this.#fd, () => {});
    const { bytes, fds } = receiveWithFds(this.#fd, this.#buffer);
    for (const fd of fds) {
      if (this.#passedFd === undefined) this.#passedFd = fd;
      else closeSync(fd); // no daemon of ours sends more than one at a time
    }
    if (bytes.length === 0) {
      this.#parser.close();
      if (!this.#isDone) throw new ConnectionDropped();
    } else this.#parser.push(bytes);
  }

  [Symbol.dispose](): void {
    if (this.#passedFd !== undefined) closeSync(this.#passedFd);
    closeSync(this.#fd);
  }
}
