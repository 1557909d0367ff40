/** A client that sends an archive with descriptors of files in place of bytes, by hand (src/spec/file-range.ts). */
import { closeSync, readSync } from "node:fs";
import { sendWithFds } from "../../src/linux/sys/passed-fds.ts";
import { connectUnixFd } from "../../src/linux/sys/unix-socket.ts";

export class FileUpload implements Disposable {
  readonly #fd: number;
  #isClosed = false;

  /** Sends the head of a request. */
  constructor(socketPath: string, id: string, path: string) {
    this.#fd = connectUnixFd(socketPath);
    const lines = [`PUT /containers/${id}/archive?path=${path} HTTP/1.1`, "Host: x", "X-Lighter-Files: 1"];
    this.send(`${[...lines, "Expect: 100-continue", "Transfer-Encoding: chunked"].join("\r\n")}\r\n\r\n`);
  }

  send(text: string | Uint8Array, ...fds: number[]): void {
    sendWithFds(this.#fd, Buffer.from(text as string), fds);
  }

  /** Sends bytes as one chunk. */
  sendChunk(bytes: Uint8Array): void {
    this.send(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]));
  }

  /** The next thing that the daemon says. Answers are small, and each is asked for before the next is due. */
  answer(): string {
    const buffer = Buffer.alloc(4096);
    return buffer.toString("latin1", 0, readSync(this.#fd, buffer));
  }

  close(): void {
    if (!this.#isClosed) closeSync(this.#fd);
    this.#isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
