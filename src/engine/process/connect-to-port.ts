/** Connects to a port in a container's network namespace, as a process in it would. */

import { Duplex } from "node:stream";
import type { Socket as BunSocket, TCPSocketConnectOptions } from "bun";
import { LighterError, messageOf } from "../../base/errors.ts";
import { closeNetworkNamespace, inNetworkNamespace, openNetworkNamespace } from "../../linux/sys/network-namespace.ts";
import { beginTcpConnection } from "../../linux/sys/tcp-connection.ts";
import type { Container } from "../container.ts";
import { notRunning } from "../errors.ts";

/** Tries the addresses of loopback in turn. @throws LighterError "conflict" if it does not run, "unavailable" if nobody listens */
export async function connectToPort(container: Container, port: number): Promise<Duplex> {
  if (!container.isRunning) throw notRunning(container.id);
  const namespaceFd = openNetworkNamespace(`/proc/${container.record.pid}/ns/net`);
  try {
    let failure: unknown;
    for (const address of ["127.0.0.1", "::1"])
      try {
        return await connected(inNetworkNamespace(namespaceFd, () => beginTcpConnection(address, port)));
      } catch (error) {
        failure ??= error;
      }
    throw new LighterError("unavailable", `connect to port ${port} of ${container.id}: ${messageOf(failure)}`);
  } finally {
    closeNetworkNamespace(namespaceFd);
  }
}

/** A stream on a socket that is being connected; resolves when it is. */
async function connected(fd: number): Promise<Duplex> {
  const opened = Promise.withResolvers<void>();
  let [socket, onDrain]: [BunSocket | undefined, () => void] = [undefined, () => {}];
  let unsent = new Uint8Array();
  const flush = () => {
    if (unsent.length > 0) unsent = unsent.subarray(Math.max(socket!.write(unsent), 0));
    if (unsent.length === 0) onDrain();
  };
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => void socket?.resume(),
    write: (chunk: Uint8Array, _encoding, done) => {
      onDrain = () => {
        onDrain = () => {};
        done();
      };
      unsent = new Uint8Array(chunk);
      flush();
    },
    final: (done) => {
      socket?.shutdown();
      done();
    },
    destroy: (error, done) => {
      socket?.terminate();
      done(error);
    },
  });
  const options = {
    fd,
    allowHalfOpen: true,
    socket: {
      data: (_socket: BunSocket, data: Uint8Array) => {
        if (!stream.push(new Uint8Array(data))) socket?.pause();
      },
      drain: () => {
        opened.resolve();
        flush();
      },
      end: () => void stream.push(null),
      close: () => {
        opened.reject(new LighterError("unavailable", "connection refused"));
        stream.destroy();
      },
      error: (_socket: BunSocket, error: Error) => opened.reject(error),
      connectError: (_socket: BunSocket, error: Error) => opened.reject(error),
    },
  };
  socket = await Bun.connect(options as unknown as TCPSocketConnectOptions); // an fd is not in the types
  await opened.promise;
  return stream;
}
