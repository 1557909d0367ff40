/** Sessions of clients that live, that say nothing, and that leave. */
import { expect, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { messageOf } from "../../base/errors.ts";
import { GrpcClient } from "../../grpc/client.ts";
import { serveGrpc } from "../../grpc/server.ts";
import { Sessions } from "./sessions.ts";

const SOON = { intervalMs: 5, timeoutMs: 50 };
const NEVER = new AbortController().signal;

/** Opens a connection to a client that does this with its end. */
async function connectTo(serve: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    sockets.push(socket);
    serve(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  await once(socket, "connect");
  const client = new GrpcClient(socket);
  const close = () => {
    for (const each of sockets) each.destroy();
    server.close();
  };
  return { client, close };
}

test("a client that answers nothing loses its session, and calls of builds end", async () => {
  const { client, close } = await connectTo(() => {});
  const sessions = new Sessions(SOON);
  const carried = sessions.carry({ id: "silent", methods: ["/s/Files"] }, client);
  const session = await sessions.find("silent", NEVER);
  const call = session.unary("/s/Files", new Uint8Array()).then(() => "", messageOf);
  await carried;
  expect(await call).toBe("the peer has gone away");
  close();
});

test("a client that does not know its health keeps its session", async () => {
  const methods = new Map([
    [
      "/s/Slow",
      async function* () {
        await new Promise((resolve) => setTimeout(resolve, 300));
        yield new Uint8Array([1]);
      },
    ],
  ]);
  const { client, close } = await connectTo((socket) => void serveGrpc(socket, methods));
  // Only the number of its answers matters: a machine that is slow has all the time.
  const sessions = new Sessions({ intervalMs: 5, timeoutMs: 60_000 });
  const carried = sessions.carry({ id: "plain", methods: ["/s/Slow"] }, client);
  const session = await sessions.find("plain", NEVER);
  expect(await session.unary("/s/Slow", new Uint8Array())).toEqual(new Uint8Array([1]));
  close();
  await carried;
});
