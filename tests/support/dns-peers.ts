/** Clients of a resolver, and a server that the resolver asks, in a test's network namespaces. */
import type { Socket, TCPSocketListener, udp } from "bun";
import { inNetworkNamespace } from "../../src/linux/sys/network-namespace.ts";
import { FrameReader, frame } from "../../src/network/dns/length-framed.ts";
import { RESOLVER_ADDRESS, RESOLVER_PORT } from "../../src/network/dns/mod.ts";

const PATIENCE_MS = 20_000;

function within<T>(promise: Promise<T>, what: string, patienceMs = PATIENCE_MS): Promise<T> {
  let timer: Timer;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${patienceMs} ms`)), patienceMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Sends one query by UDP, from a new socket. */
export async function askByUdp(
  namespaceFd: number,
  message: Uint8Array,
  patienceMs = PATIENCE_MS,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const socket = await inNetworkNamespace(namespaceFd, () =>
    Bun.udpSocket({
      connect: { hostname: RESOLVER_ADDRESS, port: RESOLVER_PORT },
      socket: {
        data: (_socket, data) => resolve(new Uint8Array(data)),
        error: (...args: unknown[]) => reject(args[0]),
      },
    }),
  );
  try {
    socket.send(message);
    return await within(promise, "answer by UDP", patienceMs);
  } finally {
    socket.close();
  }
}

/** A client that is connected by TCP. */
export class TcpConnection implements Disposable {
  readonly #reader = new FrameReader(65535);
  readonly messages: Uint8Array[] = [];
  /** Resolves when the other side has closed the connection. */
  readonly closed: Promise<void>;
  #wake = () => {};

  private constructor(
    readonly socket: Socket,
    closed: Promise<void>,
  ) {
    this.closed = closed;
  }

  static async open(namespaceFd: number): Promise<TcpConnection> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let connection: TcpConnection | undefined;
    const early: Uint8Array[] = [];
    const socket = await inNetworkNamespace(namespaceFd, () =>
      Bun.connect({
        hostname: RESOLVER_ADDRESS,
        port: RESOLVER_PORT,
        socket: {
          data: (_socket, data) => {
            if (connection === undefined) early.push(data);
            else connection.#read(data);
          },
          close: () => resolve(),
          error: () => {},
        },
      }),
    );
    connection = new TcpConnection(socket, promise);
    for (const data of early) connection.#read(data);
    return connection;
  }

  #read(data: Uint8Array): void {
    const messages = this.#reader.push(data);
    if (messages === undefined) throw new Error("an answer that is no message");
    this.messages.push(...messages.map((message) => new Uint8Array(message)));
    this.#wake();
  }

  send(...messages: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(messages.map(frame)));
  }

  /** Waits for the first `count` messages. */
  async received(count: number): Promise<Uint8Array[]> {
    const enough = async () => {
      while (this.messages.length < count)
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    };
    await within(enough(), `${count} answers by TCP`);
    return this.messages.slice(0, count);
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}

export async function askByTcp(namespaceFd: number, message: Uint8Array): Promise<Uint8Array> {
  using connection = await TcpConnection.open(namespaceFd);
  connection.send(message);
  const [answer] = await connection.received(1);
  return answer!;
}

export interface Seen {
  protocol: "udp" | "tcp";
  message: Uint8Array;
  port: number;
}

type Reply = Uint8Array | readonly Uint8Array[] | undefined;

/** A server on port 53 of a loopback address, in the given namespace or, for 0, in the current one. */
export class FakeServer implements Disposable {
  private constructor(
    readonly udp: udp.Socket<"buffer">,
    readonly tcp: TCPSocketListener<undefined>,
    /** The queries so far, in order, with the ports that they came from. */
    readonly seen: readonly Seen[],
  ) {}

  /** Starts a server. `reply` returns the bytes to send back, several datagrams, or nothing. */
  static async start(
    namespaceFd: number,
    address: string,
    reply: (message: Uint8Array, protocol: "udp" | "tcp") => Reply,
  ): Promise<FakeServer> {
    const place = { hostname: address, port: 53 };
    const seen: Seen[] = [];
    const answers = (message: Uint8Array, protocol: "udp" | "tcp", port: number): readonly Uint8Array[] => {
      seen.push({ protocol, message: new Uint8Array(message), port });
      const replied = reply(message, protocol);
      return replied === undefined ? [] : replied instanceof Uint8Array ? [replied] : replied;
    };
    const readers = new WeakMap<Socket<undefined>, FrameReader>();
    const start = () => ({
      tcp: Bun.listen<undefined>({
        ...place,
        socket: {
          open: (socket) => void readers.set(socket, new FrameReader(65535)),
          data: (socket, chunk) => {
            const messages = readers.get(socket)?.push(chunk);
            if (messages === undefined) throw new Error("a query that is no message");
            for (const message of messages)
              for (const answer of answers(message, "tcp", socket.remotePort)) socket.write(frame(answer));
          },
        },
      }),
      udp: Bun.udpSocket({
        ...place,
        socket: {
          data: (socket, message, port, from) => {
            for (const answer of answers(message, "udp", port)) socket.send(answer, port, from);
          },
        },
      }),
    });
    const started = namespaceFd === 0 ? start() : inNetworkNamespace(namespaceFd, start);
    return new FakeServer(await started.udp, started.tcp, seen);
  }

  [Symbol.dispose](): void {
    this.udp.close();
    this.tcp.stop(true);
  }
}

/** The query as an answer without records. `flags` are set in addition to an answer's, mostly the response code. */
export function asAnswer(message: Uint8Array, flags = 0): Uint8Array {
  const answer = new Uint8Array(message);
  answer[2] = (answer[2]! & 0x7f) | 0x80 | (flags >> 8);
  answer[3] = 0x80 | (flags & 0xff);
  return answer;
}
