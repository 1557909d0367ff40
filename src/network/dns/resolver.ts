import type { TCPSocketListener, udp } from "bun";
import { messageOf } from "../../base/errors.ts";
import { DNS_CONNECTIONS_MAX } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
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

/** One more than there are errors for a socket to remember, and one in reserve: others may go meanwhile. */
const SEND_ATTEMPTS = 3;

export interface ResolverOptions extends Upstream {
  /** "/proc/PID/ns/net" of a container, whose loopback is up. */
  networkNamespace: string;
  names: NameSource;
}

/**
 * Answers at 127.0.0.11 in a container's network namespace from now on: both sockets are bound when this returns, not only when
 * its promise resolves.
 * It keeps the namespace alive, and so the container's interfaces: dispose it as soon as the container has ended.
 * @throws LighterError "kernel"; a system error with `code` "ENOENT" (no such process), "EADDRINUSE", "EADDRNOTAVAIL"
 *   (no loopback)
 */
export async function startResolver(options: ResolverOptions): Promise<Resolver> {
  const namespaceFd = openNetworkNamespace(options.networkNamespace);
  try {
    const resolver = new Resolver(options, namespaceFd);
    await resolver.opened;
    return resolver;
  } catch (error) {
    closeNetworkNamespace(namespaceFd);
    throw error;
  }
}

export class Resolver implements Disposable {
  readonly #names: NameSource;
  readonly #namespaceFd: number;
  readonly #forwarder: Forwarder;
  readonly #listener: TCPSocketListener<TcpClient | undefined>;
  readonly opened: Promise<void>;
  #udpSocket: udp.Socket<"buffer"> | undefined;
  #connections = 0;
  #closed = false;

  /** Use `startResolver`. Owns `namespaceFd` once `opened` has resolved. */
  constructor(options: ResolverOptions, namespaceFd: number) {
    this.#names = options.names;
    this.#namespaceFd = namespaceFd;
    this.#forwarder = new Forwarder(options, (act) => inNetworkNamespace(namespaceFd, act));
    const { listener, udpSocket } = inNetworkNamespace(namespaceFd, () => ({
      listener: this.#listen(),
      udpSocket: this.#bind(),
    }));
    this.#listener = listener;
    this.opened = udpSocket.then(
      (socket) => {
        this.#udpSocket = socket;
      },
      (error) => {
        listener.stop(true);
        throw error;
      },
    );
  }

  /** From the next query on. For a container whose networks change. */
  setUpstream(upstream: Upstream): void {
    this.#forwarder.upstream = upstream;
  }

  /** Closes everything at once. What was under way gets no answer. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forwarder.close();
    this.#udpSocket?.close();
    this.#listener.stop(true);
    closeNetworkNamespace(this.#namespaceFd);
  }

  async #bind(): Promise<udp.Socket<"buffer">> {
    return Bun.udpSocket({
      hostname: RESOLVER_ADDRESS,
      port: RESOLVER_PORT,
      socket: {
        data: (socket, message, port, address) => {
          this.#answer(message, "udp", (answer) => {
            if (answer !== undefined && !socket.closed) sendTo(socket, answer, port, address);
          });
        },
        // A client that is gone before its answer comes.
        error: (...args: unknown[]) => log.debug("a DNS client by UDP", { error: messageOf(args.at(-1)) }),
      },
    });
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
        close: () => {
          this.#connections--;
        },
        error: (_socket, error) => log.error("a DNS client by TCP", { error: messageOf(error) }),
      },
    });
  }

  #answer(message: Uint8Array, protocol: Protocol, reply: (answer: Uint8Array | undefined) => void): void {
    const query = parseQuery(message);
    if (query === undefined) reply(undefined);
    else if (typeof query === "number") reply(encodeRefusal(message, query));
    else this.#answerQuery(message, query, protocol, reply);
  }

  #answerQuery(message: Uint8Array, query: Query, protocol: Protocol, reply: (answer: Uint8Array) => void): void {
    const fail = (error: unknown) => {
      log.error("cannot answer a DNS query", { error: messageOf(error) });
      reply(encodeFailure(query, Rcode.serverFailure));
    };
    try {
      const local = this.#answerHere(query, protocol);
      if (local !== undefined) reply(local);
      else this.#forwarder.forward(message, query, protocol).then(reply, fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Undefined: it is to be passed on. */
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

/**
 * That a client has gone without its answer is told to the next send, which sends nothing then (ip(7), IP_RECVERR): it must be
 * repeated, or another client would wait for its answer in vain. A full socket loses datagrams, as networks do.
 */
function sendTo(socket: udp.Socket<"buffer">, answer: Uint8Array, port: number, address: string): void {
  for (let attempt = 0; attempt < SEND_ATTEMPTS; attempt++) {
    try {
      socket.send(answer, port, address);
      return;
    } catch (error) {
      log.debug("a DNS client by UDP", { error: messageOf(error) });
    }
  }
}
