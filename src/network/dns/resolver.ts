/** The DNS server in a container's network namespace. */
import type { TCPSocketListener } from "bun";
import { messageOf } from "../../base/errors.ts";
import { DNS_CONNECTIONS_MAX } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { counter } from "../../base/metrics.ts";
import { closeNetworkNamespace, inNetworkNamespace, openNetworkNamespace } from "../../linux/sys/network-namespace.ts";
import { answerFrom } from "./answer.ts";
import type { Protocol } from "./exchange.ts";
import { Forwarder } from "./forwarder.ts";
import {
  encodeAnswer,
  encodeFailure,
  encodeRefusal,
  MESSAGE_MAX_BYTES,
  parseQuery,
  type Query,
  Rcode,
  RecordType,
} from "./message.ts";
import { RESOLVER_ADDRESS, RESOLVER_PORT } from "./place.ts";
import { TcpClient } from "./tcp-client.ts";
import type { NameSource, Upstream } from "./types.ts";
import { UdpListener } from "./udp-listener.ts";

const queries = counter("lighter_dns_queries_total", "Queries of containers, by how they were answered", "answer", [
  "own",
  "forwarded",
  "refused",
  "ignored",
  "failed",
]);

export interface ResolverOptions extends Upstream {
  /** The path of a container's namespace, "/proc/PID/ns/net"; its loopback must be up. */
  networkNamespace: string;
  names: NameSource;
}

/**
 * Starts answering at 127.0.0.11 in a container's network namespace. Both sockets are bound when this returns, not only when its
 * promise resolves. The resolver keeps the namespace alive, and with it the container's interfaces: dispose it as soon as the
 * container has ended.
 * @throws LighterError "kernel"; a system error with `code` "ENOENT" (no such process), "EADDRINUSE", "EADDRNOTAVAIL"
 *   (no loopback)
 */
export async function startResolver(options: ResolverOptions): Promise<Resolver> {
  const namespaceFd = openNetworkNamespace(options.networkNamespace);
  let resolver: Resolver;
  try {
    resolver = new Resolver(options, namespaceFd);
  } catch (error) {
    closeNetworkNamespace(namespaceFd);
    throw error;
  }
  try {
    await resolver.opened;
    return resolver;
  } catch (error) {
    resolver[Symbol.dispose]();
    throw error;
  }
}

export class Resolver implements Disposable {
  readonly #names: NameSource;
  readonly #namespaceFd: number;
  readonly #forwarder: Forwarder;
  readonly #tcp: TCPSocketListener<TcpClient | undefined>;
  readonly #udp: UdpListener;
  #connections = 0;
  #closed = false;

  /** Use `startResolver` instead. Owns `namespaceFd` once it has returned. */
  constructor(options: ResolverOptions, namespaceFd: number) {
    this.#names = options.names;
    this.#namespaceFd = namespaceFd;
    const open: <T>(act: () => T) => T = (act) => inNetworkNamespace(namespaceFd, act);
    this.#forwarder = new Forwarder(options, open);
    this.#tcp = open(() => this.#listen());
    this.#udp = new UdpListener(open, (message, reply) => this.#answer(message, "udp", reply));
  }

  /** Resolves when both sockets are bound. If it rejects, everything must be disposed. */
  get opened(): Promise<void> {
    return this.#udp.opened;
  }

  /** Takes effect with the next query. For a container whose networks change. */
  setUpstream(upstream: Upstream): void {
    this.#forwarder.upstream = upstream;
  }

  /** Closes everything at once. Pending queries get no answer. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forwarder.close();
    this.#udp[Symbol.dispose]();
    this.#tcp.stop(true);
    closeNetworkNamespace(this.#namespaceFd);
  }

  #listen(): TCPSocketListener<TcpClient | undefined> {
    return Bun.listen<TcpClient | undefined>({
      hostname: RESOLVER_ADDRESS,
      port: RESOLVER_PORT,
      allowHalfOpen: true,
      socket: {
        open: (socket) => {
          this.#connections++;
          if (this.#connections > DNS_CONNECTIONS_MAX) socket.terminate();
          else socket.data = new TcpClient(socket, (message, reply) => this.#answer(message, "tcp", reply));
        },
        data: (socket, chunk) => socket.data?.read(chunk),
        drain: (socket) => socket.data?.drain(),
        end: (socket) => socket.data?.end(),
        timeout: (socket) => socket.data?.idle(),
        close: (socket) => {
          this.#connections--;
          socket.data?.closed();
        },
        error: (_socket, error) => log.error("a DNS client by TCP", { error: messageOf(error) }),
      },
    });
  }

  #answer(message: Uint8Array, protocol: Protocol, reply: (answer: Uint8Array | undefined) => void): void {
    const query = parseQuery(message);
    if (query === undefined) {
      queries.add("ignored");
      reply(undefined);
    } else if (typeof query === "number") {
      queries.add("refused");
      reply(encodeRefusal(message, query));
    } else this.#answerQuery(message, query, protocol, reply);
  }

  #answerQuery(message: Uint8Array, query: Query, protocol: Protocol, reply: (answer: Uint8Array) => void): void {
    const fail = (error: unknown) => {
      log.error("cannot answer a DNS query", { error: messageOf(error) });
      queries.add("failed");
      reply(encodeFailure(query, Rcode.serverFailure));
    };
    try {
      const local = this.#answerHere(query, protocol);
      queries.add(local === undefined ? "forwarded" : "own");
      if (local !== undefined) reply(local);
      else this.#forwarder.forward(message, query, protocol).then(reply, fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Answers a query from our names; undefined if it must be forwarded. */
  #answerHere(query: Query, protocol: Protocol): Uint8Array | undefined {
    const records = answerFrom(this.#names, query);
    if (records === undefined && !this.#keeps(query)) return undefined;
    return encodeAnswer(query, records ?? [], protocol === "tcp" ? MESSAGE_MAX_BYTES : query.udpMaxBytes);
  }

  #keeps({ name, type }: Query): boolean {
    const isAddress = type === RecordType.a || type === RecordType.aaaa;
    return this.#forwarder.upstream.keepsSingleLabels && isAddress && !name.includes(".");
  }
}
