/** Sends a directory to a daemon on this host: large files as descriptors, and none of it through the daemon itself. */
import { type Client, encodeQuery } from "../http/client.ts";
import { FileOffer } from "../http/file-offer.ts";
import type { PackDirectory } from "./build-context.ts";

export class ContextUpload {
  #failure: unknown;

  /** Begins to send, for the build of a session. What the daemon says against it is said of the build, too. */
  constructor(client: Client, session: string, pack: PackDirectory) {
    const offer = new FileOffer();
    const request = {
      method: "POST" as const,
      path: `/lighter/builds/context${encodeQuery({ session })}`,
      headers: offer.headers,
      stream: { contentType: "application/x-tar", chunks: this.#watched(pack(() => offer.isTaken)), offer },
    };
    client.request(request).catch(() => {}); // as above
  }

  /** What went wrong on this side. */
  get failure(): unknown {
    return this.#failure;
  }

  async *#watched<T>(chunks: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* chunks;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}
