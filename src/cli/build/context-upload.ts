/** Sends a directory to a daemon on this host: large files as descriptors, and none of it through the daemon itself. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { type Client, encodeQuery } from "../http/client.ts";
import { FileOffer } from "../http/file-offer.ts";
import type { ContextDirectory } from "./build-context.ts";
import type { StreamProvider } from "./build-session.ts";

const PIECE_BYTES = 512 * 1024;

export class ContextUpload {
  readonly #directory: ContextDirectory;
  /** The names of files that were sent as descriptors. */
  readonly #sent = new Set<string>();
  #failure: unknown;

  constructor(directory: ContextDirectory) {
    this.#directory = directory;
  }

  /** Begins to send, for the build of a session. What the daemon says against it is said of the build, too. */
  begin(client: Client, session: string): void {
    const offer = new FileOffer();
    const takesFile = (name: string) => {
      if (offer.isTaken) this.#sent.add(name);
      return offer.isTaken;
    };
    const request = {
      method: "POST" as const,
      path: `/lighter/builds/context${encodeQuery({ session })}`,
      headers: offer.headers,
      stream: { contentType: "application/x-tar", chunks: this.#watched(this.#directory.pack(takesFile)), offer },
    };
    client.request(request).catch(() => {}); // as above
  }

  /** What went wrong on this side. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Serves the bytes of files that the daemon has not read when it got them, as it knew them, and that a step needs now. */
  readonly provider: StreamProvider = async (name, { send, end, fail }) => {
    if (!this.#sent.has(name)) return undefined;
    const path = Buffer.concat([Buffer.from(`${this.#directory.path}/`), Buffer.from(name, "latin1")]);
    const copy = async () => {
      const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        const piece = new Uint8Array(PIECE_BYTES);
        for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece))
          await send(piece.subarray(0, count));
        end();
      } finally {
        closeSync(fd);
      }
    };
    copy().catch(fail);
    return { data: () => {}, end: () => {}, close: () => {} };
  };

  async *#watched(chunks: ReturnType<ContextDirectory["pack"]>): ReturnType<ContextDirectory["pack"]> {
    try {
      yield* chunks;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}
