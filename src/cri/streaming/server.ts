/**
 * Serves the streams of Exec, Attach and PortForward: kubelet sends its clients on to a URL that these calls have answered. Each URL
 * is good for one connection, within a minute, on loopback alone.
 */
import { randomBytes } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { LighterError, messageOf } from "../../base/errors.ts";
import {
  STREAMING_HEAD_MAX_BYTES,
  STREAMING_TOKEN_MS,
  STREAMING_TOKENS_MAX,
  STREAMS_TIMEOUT_MS,
} from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { spdyChannels, type Wanted, webSocketChannels } from "./channels.ts";
import { type ConnectToPort, servePorts, tunnel } from "./port-forward.ts";
import { type RemoteProcess, serveCommand } from "./remote-command.ts";
import { acceptKey } from "./websocket.ts";

export type Session =
  | { kind: "exec" | "attach"; wanted: Wanted; open: () => Promise<RemoteProcess> }
  | { kind: "portforward"; connect: ConnectToPort };

const COMMAND_SPDY = ["v4.channel.k8s.io"];
const COMMAND_WEBSOCKET = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const PORTS_SPDY = ["portforward.k8s.io"];
const PORTS_WEBSOCKET = ["SPDY/3.1+portforward.k8s.io"];

export class StreamingServer {
  readonly #sessions = new Map<string, { session: Session; timer: NodeJS.Timeout }>();
  #listening: Promise<number> | undefined;

  /** Resolves with the URL at which the session is served, once. @throws LighterError "unavailable" for one too many */
  async urlFor(session: Session): Promise<string> {
    this.#listening ??= listen((socket) => void this.#serve(socket));
    const port = await this.#listening;
    if (this.#sessions.size >= STREAMING_TOKENS_MAX)
      throw new LighterError("unavailable", `${STREAMING_TOKENS_MAX} streams wait for their clients already`);
    const token = randomBytes(16).toString("hex");
    const timer = setTimeout(() => this.#sessions.delete(token), STREAMING_TOKEN_MS);
    timer.unref();
    this.#sessions.set(token, { session, timer });
    return `http://127.0.0.1:${port}/${session.kind}/${token}`;
  }

  #take(path: string): Session | undefined {
    const [, kind, token = ""] = /^\/(exec|attach|portforward)\/([0-9a-f]{32})(?:\?.*)?$/.exec(path) ?? [];
    const found = this.#sessions.get(token);
    if (found === undefined || found.session.kind !== kind) return undefined;
    clearTimeout(found.timer);
    this.#sessions.delete(token);
    return found.session;
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on("error", () => socket.destroy());
    try {
      const request = await readHead(socket);
      const session = this.#take(request.path);
      if (session === undefined) return refuse(socket, "404 Not Found", "there is no such stream, or not any more");
      await upgrade(socket, request, session);
    } catch (error) {
      log.debug(`stream: ${messageOf(error)}`);
      socket.destroy();
    }
  }
}

/** Resolves with the port. Nobody but clients keeps the process alive. */
async function listen(accept: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, accept);
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  server.on("error", (error) => log.error(`accept on the port for streams: ${messageOf(error)}`));
  return (server.address() as { port: number }).port;
}

interface Request {
  path: string;
  /** By name in lower case; several values are joined. */
  headers: ReadonlyMap<string, string>;
  /** What came after the head. */
  rest: Buffer;
}

function readHead(socket: Socket): Promise<Request> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      socket.off("data", take).off("close", onClose);
      socket.pause();
      act();
    };
    const fail = (why: string) => settle(() => reject(new LighterError("invalid", why)));
    const onClose = () => fail("the client has gone");
    const take = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end >= 0) settle(() => resolve(parseHead(bytes.toString("latin1", 0, end), bytes.subarray(end + 4))));
      else if (bytes.length > STREAMING_HEAD_MAX_BYTES) fail("the request's head is too large");
    };
    const timer = setTimeout(() => fail("the request's head does not come"), STREAMS_TIMEOUT_MS);
    socket.on("data", take).once("close", onClose);
  });
}

function parseHead(text: string, rest: Buffer): Request {
  const [first = "", ...lines] = text.split("\r\n");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf(":");
    const [name, value] = [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()];
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value);
  }
  return { path: first.split(" ")[1] ?? "", headers, rest };
}

function refuse(socket: Socket, status: string, why: string): void {
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(why)}\r\n\r\n${why}`,
  );
}

const listOf = (text: string | undefined) => (text ?? "").split(",").map((word) => word.trim());

async function upgrade(socket: Socket, { headers, rest }: Request, session: Session): Promise<void> {
  const wants = listOf(headers.get("upgrade")).map((word) => word.toLowerCase());
  const isPorts = session.kind === "portforward";
  if (wants.includes("websocket")) {
    const known = isPorts ? PORTS_WEBSOCKET : COMMAND_WEBSOCKET;
    const protocol = listOf(headers.get("sec-websocket-protocol")).find((word) => known.includes(word));
    if (protocol === undefined) return refuse(socket, "403 Forbidden", `the protocols here are ${known.join(", ")}`);
    const accept = acceptKey(headers.get("sec-websocket-key") ?? "");
    switchTo(socket, "websocket", `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}`);
    if (session.kind === "portforward") return await servePorts(tunnel(socket, rest), Buffer.alloc(0), session.connect);
    return await serveCommand(await webSocketChannels(socket, rest, session.wanted), session.wanted, session.open);
  }
  if (!wants.includes("spdy/3.1"))
    return refuse(socket, "400 Bad Request", "unable to upgrade: neither SPDY/3.1 nor websocket");
  const known = isPorts ? PORTS_SPDY : COMMAND_SPDY;
  const protocol = listOf(headers.get("x-stream-protocol-version")).find((word) => known.includes(word));
  if (protocol === undefined) return refuse(socket, "403 Forbidden", `the protocols here are ${known.join(", ")}`);
  switchTo(socket, "SPDY/3.1", `X-Stream-Protocol-Version: ${protocol}`);
  if (session.kind === "portforward") return await servePorts(socket, rest, session.connect);
  await serveCommand(await spdyChannels(socket, rest, session.wanted), session.wanted, session.open);
}

function switchTo(socket: Socket, protocol: string, more: string): void {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${more}\r\n\r\n`);
}
