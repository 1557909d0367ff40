/** Connects a client with ports in a pod: what PortForward has promised. Source: k8s.io/client-go tools/portforward. */
import { Duplex } from "node:stream";
import { messageOf } from "../../base/errors.ts";
import { SpdyConnection, type SpdyStream } from "./spdy.ts";
import { WebSocketConnection } from "./websocket.ts";

export type ConnectToPort = (port: number) => Promise<Duplex>;

/** Serves pairs of streams, "error" and "data", of one request each, until the client goes. */
export async function servePorts(wire: Duplex, first: Uint8Array, connect: ConnectToPort): Promise<void> {
  const waiting = new Map<string, SpdyStream>();
  const connection = new SpdyConnection(wire, (stream) => {
    const key = `${stream.headers.get("requestid") ?? ""} ${stream.headers.get("port") ?? ""}`;
    const other = waiting.get(key);
    if (other === undefined) {
      waiting.set(key, stream);
      return void stream.once("close", () => waiting.get(key) === stream && waiting.delete(key));
    }
    waiting.delete(key);
    const [data, error] = stream.headers.get("streamtype") === "data" ? [stream, other] : [other, stream];
    void forward(data, error, Number(stream.headers.get("port")), connect);
  });
  await connection.serve(first);
}

async function forward(data: SpdyStream, error: SpdyStream, port: number, connect: ConnectToPort): Promise<void> {
  error.resume(); // nothing comes on it but its end
  data.pause();
  try {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`there is no port ${port}`);
    const socket = await connect(port);
    socket.on("error", () => socket.destroy());
    data.once("close", () => socket.destroy());
    if (data.destroyed) return void socket.destroy(); // its client has not waited
    data.pipe(socket);
    socket.pipe(data);
    socket.once("close", () => {
      data.unpipe(socket).resume(); // what still comes must not hold up the other streams
      data.end();
      error.end();
    });
  } catch (failure) {
    error.end(`an error occurred forwarding ${port}: ${messageOf(failure)}`);
    data.resume().end();
  }
}

/** A stream of bytes within a WebSocket's messages: newer clients send SPDY so. */
export function tunnel(wire: Duplex, first: Uint8Array): Duplex {
  const connection = new WebSocketConnection(wire);
  let onRead = () => {};
  const stream = new Duplex({
    read: () => onRead(),
    write: (chunk: Uint8Array, _encoding, done) => void connection.send(chunk).then(() => done(), done),
    final: (done) => void connection.close().then(() => done(), done),
    destroy(error, done) {
      wire.destroy(); // nobody else ends it when the client goes without a farewell
      done(error);
    },
  });
  void (async () => {
    try {
      for await (const message of connection.messages(first))
        if (!stream.push(message)) await new Promise<void>((resolve) => (onRead = resolve));
    } catch {
      // the client has gone, or speaks something else
    }
    stream.push(null);
  })();
  return stream;
}
