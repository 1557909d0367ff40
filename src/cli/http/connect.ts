/** Opens a connection to the daemon: a unix socket, TCP with or without TLS, or a command. */
import { LighterError } from "../../base/errors.ts";
import { FILE_SOCKET_BUFFER_BYTES } from "../../base/limits.ts";
import type { Address, ClientTls, Events, Transport } from "./transport.ts";

type Socket = Bun.Socket<undefined>;

/** Opens the connection. `isUpload` means that much will be sent. */
export async function connect(address: Address, events: Events, isUpload: boolean): Promise<Transport> {
  if ("ssh" in address) return (await import("./ssh.ts")).connectSsh(address.ssh, events);
  const socket: Bun.SocketHandler<undefined> = {
    data: (_socket, bytes) => events.data(bytes),
    drain: () => events.drain(),
    end: () => events.end(),
    close: () => events.end(),
    error: (_socket, error) => events.error(error),
  };
  if ("unix" in address) {
    const opened = await Bun.connect<undefined>({ unix: address.unix, allowHalfOpen: true, socket });
    const unixFd = fdOf(opened);
    // The module is loaded where it is needed: most commands send little.
    if (isUpload) (await import("../../linux/sys/socket-buffers.ts")).setSendBuffer(unixFd, FILE_SOCKET_BUFFER_BYTES);
    return Object.assign(opened, { unixFd });
  }
  if (address.tls !== undefined) return connectTls(address, address.tls, socket);
  return Bun.connect<undefined>({ ...address, allowHalfOpen: true, socket });
}

function fdOf(socket: Socket): number {
  return (socket as Socket & { fd?: number }).fd ?? -1; // Bun's socket has an fd, but its types do not
}

/**
 * Connects by TLS; settles after the handshake.
 * @throws LighterError ("unavailable") with what is wrong with a certificate
 */
async function connectTls(
  address: { readonly hostname: string; readonly port: number },
  { verify, ...files }: ClientTls,
  handlers: Bun.SocketHandler<undefined>,
): Promise<Socket> {
  const handshake = Promise.withResolvers<void>();
  handshake.promise.catch(() => {}); // an error before that is reported by the connection
  const refuse = (why: string) => handshake.reject(new LighterError("unavailable", `TLS handshake: ${why}`));
  const socket = await Bun.connect<undefined>({
    hostname: address.hostname,
    port: address.port,
    tls: { ...files, rejectUnauthorized: verify },
    allowHalfOpen: true,
    socket: {
      ...handlers,
      handshake(_socket, success, error) {
        if (success && (!verify || error === null || error === undefined)) handshake.resolve();
        else refuse(error?.message ?? "the server refused it");
      },
      close(socket) {
        refuse("the server closed the connection");
        handlers.close?.(socket);
      },
      error(socket, error) {
        refuse(error.message);
        handlers.error?.(socket, error);
      },
    },
  });
  try {
    await handshake.promise;
    return socket;
  } catch (error) {
    socket.end();
    throw error;
  }
}
