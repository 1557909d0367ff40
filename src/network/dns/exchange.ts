/** Asks one DNS server one question. */
import type { Socket, SocketHandler, TCPSocketConnectOptions } from "bun";
import { DNS_SERVER_TIMEOUT_MS, DNS_STRANGERS_MAX } from "../../base/limits.ts";
import { DNS_PORT } from "../../linux/nftables/resolver-redirect.ts";
import { beginTcpConnection, withZoneIndex } from "../../linux/sys/tcp-connection.ts";
import { FrameReader, frame } from "./length-framed.ts";
import { MESSAGE_MAX_BYTES } from "./message.ts";

/** The protocol. A query goes to the server in the way in which the client sent it. */
export type Protocol = "udp" | "tcp";

export interface Exchange {
  /** The server's address. */
  address: string;
  protocol: Protocol;
  message: Uint8Array;
  /** Whether a message is the answer. Others are dropped: anybody may send a datagram. */
  accepts: (message: Uint8Array) => boolean;
  /** Ends the exchange. */
  signal: AbortSignal;
}

/**
 * Sends one query to one server from a new socket. The kernel picks its port at random: a forger has to guess that and the id.
 * Undefined if there is no answer within `DNS_SERVER_TIMEOUT_MS`, or cannot be one. `open` runs what opens the socket in the
 * right network namespace, which happens before this returns.
 */
export function exchange(options: Exchange, open: <T>(act: () => T) => T): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    let close: (() => void) | undefined;
    let finished = false;
    const finish = (answer?: Uint8Array) => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      options.signal.removeEventListener("abort", giveUp);
      close?.();
      resolve(answer);
    };
    const giveUp = () => finish();
    options.signal.addEventListener("abort", giveUp);
    const timer = setTimeout(giveUp, DNS_SERVER_TIMEOUT_MS);
    let strangers = 0;
    const receive = (message?: Uint8Array) => {
      if (message !== undefined && options.accepts(message)) finish(message);
      else if (message === undefined || ++strangers === DNS_STRANGERS_MAX) finish();
    };
    const ask = options.protocol === "udp" ? askByUdp : askByTcp;
    // There is no route, no such family, or nobody there: the next server may do better.
    ask(options, open, receive).then(
      (closeSocket) => {
        if (finished) closeSocket();
        else close = closeSocket;
      },
      () => finish(),
    );
  });
}

type Opener = <T>(act: () => T) => T;
/** Sends the query. `receive` is called with each message that comes, and with undefined when waiting is of no use. */
type Ask = (options: Exchange, open: Opener, receive: (message?: Uint8Array) => void) => Promise<() => void>;

const askByUdp: Ask = async ({ address, message }, open, receive) => {
  const socket = await open(() =>
    Bun.udpSocket({
      hostname: address.includes(":") ? "::" : "0.0.0.0",
      connect: { hostname: withZoneIndex(address), port: DNS_PORT },
      socket: {
        data: (_socket, data) => receive(data),
        error: () => receive(), // ICMP: nobody listens, or there is no route
      },
    }),
  );
  try {
    socket.send(message);
  } catch (error) {
    socket.close();
    throw error; // the container's own filter may refuse it
  }
  return () => socket.close();
};

const askByTcp: Ask = async ({ address, message }, open, receive) => {
  const reader = new FrameReader(MESSAGE_MAX_BYTES);
  let unsent = frame(message);
  const send = (to: Socket) => {
    if (unsent.length > 0) unsent = unsent.subarray(Math.max(to.write(unsent), 0));
  };
  const fd = open(() => beginTcpConnection(address, DNS_PORT));
  const handlers: SocketHandler = {
    data: (_socket, data) => {
      for (const received of reader.push(data) ?? [undefined]) receive(received);
    },
    drain: send, // the socket is connected
    close: () => receive(),
    error: () => receive(),
  };
  const options = { fd, socket: handlers };
  const socket = await Bun.connect(options as unknown as TCPSocketConnectOptions); // an fd is not in the types
  send(socket);
  return () => socket.terminate();
};
