/** Forwards DNS queries to other servers. */
import { DNS_SERVERS_MAX } from "../../base/limits.ts";
import { exchange, type Protocol } from "./exchange.ts";
import { ForwardPool } from "./forward-pool.ts";
import { answerCode, encodeFailure, type Query, Rcode, withId } from "./message.ts";
import { RESOLVER_ADDRESS } from "./place.ts";
import type { Upstream, UpstreamServer } from "./types.ts";

const pool = new ForwardPool();

/** Passes queries and answers between clients and other servers, unchanged. */
export class Forwarder {
  readonly #openInContainer: <T>(act: () => T) => T;
  readonly #end = new AbortController();
  readonly #share = pool.share();
  upstream: Upstream;

  /** `openInContainer` runs what opens a socket in the container's network namespace. */
  constructor(upstream: Upstream, openInContainer: <T>(act: () => T) => T) {
    this.upstream = upstream;
    this.#openInContainer = openInContainer;
  }

  /**
   * Resolves with the answer of the first server that has one, with the query's id. As with Docker, servers are asked one after
   * the other; one that fails, refuses or is silent leaves it to the next; "no such name" is an answer. Without any answer the
   * result is SERVFAIL; beyond the limit of pending queries it is REFUSED, at once.
   */
  async forward(message: Uint8Array, query: Query, protocol: Protocol): Promise<Uint8Array> {
    if (!this.#share.begin()) return encodeFailure(query, Rcode.refused);
    try {
      for (const server of usable(this.upstream)) {
        if (this.#end.signal.aborted) break; // the namespace's fd is closed by now, or its number is another file's
        const answer = await this.#ask(server, message, query, protocol);
        if (answer !== undefined) return answer;
      }
      return encodeFailure(query, Rcode.serverFailure);
    } finally {
      this.#share.end();
    }
  }

  async #ask(server: UpstreamServer, message: Uint8Array, query: Query, protocol: Protocol) {
    const [id = 0] = crypto.getRandomValues(new Uint16Array(1));
    const open = server.fromHost ? <T>(act: () => T) => act() : this.#openInContainer;
    const answer = await exchange(
      {
        address: server.address,
        protocol,
        message: withId(message, id),
        accepts: (candidate) => answerCode(candidate, id, query) !== undefined,
        signal: this.#end.signal,
      },
      open,
    );
    if (answer === undefined) return undefined;
    const rcode = answerCode(answer, id, query);
    return rcode === Rcode.serverFailure || rcode === Rcode.refused ? undefined : withId(answer, query.id);
  }

  /** Closes all sockets. Pending queries end with a failure that nobody has to read. */
  close(): void {
    this.#end.abort();
  }
}

/** The servers to ask, without this resolver itself, which would loop. */
function usable({ servers, forwards }: Upstream): UpstreamServer[] {
  const others = servers.filter(({ address, fromHost }) => fromHost || address !== RESOLVER_ADDRESS);
  return others.slice(0, DNS_SERVERS_MAX).filter(({ fromHost }) => forwards || !fromHost);
}
