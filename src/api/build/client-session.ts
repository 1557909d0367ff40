/** The sessions of clients that build: what a build asks of the one that has begun it. */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import { writable, writeAll } from "../../base/writable.ts";
import type { RawBody, StepTerminal } from "../../engine/mod.ts";
import {
  encodeFrame,
  FRAME_KINDS,
  FRAME_MAX_BYTES,
  FrameDecoder,
  type FrameKind,
  NO_PAYLOAD,
  type StreamRequest,
} from "../../spec/build-session.ts";
import { formatHead, sendEmpty } from "../http/protocol.ts";
import type { AnswerCall, Call, UpgradeCall, Upload } from "../http/router.ts";
import type { ClientDirectory } from "./cache-places.ts";

/** Bytes of a secret. BuildKit's number. */
const SECRET_MAX_BYTES = 500 * 1024;
const PROTOCOL = "tcp";

/** A stream of a session: what is written goes to the client, what the client sends is read. */
class SessionStream extends Duplex {
  readonly accepted = Promise.withResolvers<boolean>();
  readonly #send: (kind: FrameKind, payload?: Uint8Array) => Promise<void>;
  /** Hears whether more may come. */
  readonly #onRoom: (hasRoom: boolean) => void;

  constructor(send: (kind: FrameKind, payload?: Uint8Array) => Promise<void>, onRoom: (hasRoom: boolean) => void) {
    super({ allowHalfOpen: true });
    this.#send = send;
    this.#onRoom = onRoom;
    this.accepted.promise.catch(() => {}); // who has opened the stream hears of it
  }

  override _read(): void {
    this.#onRoom(true);
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#sendAll(bytes).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#send(FRAME_KINDS.end).then(() => done(), done);
  }

  async #sendAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += FRAME_MAX_BYTES)
      await this.#send(FRAME_KINDS.data, bytes.subarray(at, at + FRAME_MAX_BYTES));
  }

  receive(kind: FrameKind, payload: Uint8Array): void {
    if (kind === FRAME_KINDS.accept) this.accepted.resolve(true);
    else if (kind === FRAME_KINDS.missing) this.accepted.resolve(false);
    else if (kind === FRAME_KINDS.data) this.#onRoom(this.push(payload));
    else if (kind === FRAME_KINDS.end) this.push(null);
    else this.fail(new LighterError("invalid", Buffer.from(payload).toString()));
  }

  fail(error: Error): void {
    this.accepted.reject(error);
    this.on("error", () => {}); // who reads or writes hears of it
    this.destroy(error);
  }
}

type Body = AsyncIterable<Uint8Array> | RawBody;

/** A context that comes in a request of its own, before or after the build asks for it. */
class SentContext {
  readonly #given = Promise.withResolvers<Body>();
  readonly #used = Promise.withResolvers<void>();
  #isGiven = false;

  constructor() {
    for (const { promise } of [this.#given, this.#used]) promise.catch(() => {}); // who waits hears of it
  }

  /** Resolves when the build has read it. */
  async give(body: Body): Promise<void> {
    if (this.#isGiven) throw new LighterError("conflict", "the session has a context already");
    this.#isGiven = true;
    this.#given.resolve(body);
    await this.#used.promise;
  }

  async handTo(use: (body: Body) => Promise<void>): Promise<void> {
    try {
      await use(await this.#given.promise);
      this.#used.resolve();
    } catch (error) {
      this.#used.reject(error);
      throw error;
    }
  }

  fail(error: LighterError): void {
    this.#given.reject(error);
    this.#used.reject(error);
  }
}

class ClientSession {
  readonly sentContext = new SentContext();
  readonly #socket: Socket;
  readonly #streams = new Map<number, SessionStream>();
  readonly #decoder = new FrameDecoder();
  /** The streams that have more than they need. */
  readonly #full = new Set<number>();
  #count = 0;
  /** Why nothing more is asked for. */
  #ended: LighterError | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#receive(bytes));
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#end(new LighterError("unavailable", "the client of the build has gone")));
  }

  /** Ends what the client is asked for as soon as its build is given up. */
  endWith(signal: AbortSignal): void {
    signal.addEventListener("abort", () => this.#end(signal.reason));
  }

  #end(reason: LighterError): void {
    this.#ended ??= reason;
    this.sentContext.fail(reason);
    for (const stream of this.#streams.values()) stream.fail(reason);
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const { stream, kind, payload } of this.#decoder.push(bytes))
        this.#streams.get(stream)?.receive(kind, payload);
    } catch (error) {
      this.#socket.destroy(error as Error);
    }
  }

  /** Reads nothing from the client as long as somebody has not taken what has come. */
  #setFull(stream: number, isFull: boolean): void {
    if (isFull) this.#full.add(stream);
    else this.#full.delete(stream);
    if (this.#full.size > 0) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Opens a stream. Resolves with undefined if the client has none of that id. */
  async open(request: StreamRequest): Promise<Duplex | undefined> {
    const number = ++this.#count;
    const stream = new SessionStream(
      (kind, payload = NO_PAYLOAD) => this.#send(number, kind, payload),
      (hasRoom) => this.#setFull(number, !hasRoom),
    );
    this.#streams.set(number, stream);
    stream.once("close", () => {
      this.#streams.delete(number);
      this.#setFull(number, false);
    });
    await this.#send(number, FRAME_KINDS.open, Buffer.from(JSON.stringify(request)));
    if (await stream.accepted.promise) return stream;
    stream.destroy();
    return undefined;
  }

  async #send(stream: number, kind: FrameKind, payload: Uint8Array): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    if (!this.#socket.write(encodeFrame({ stream, kind, payload }))) await writable(this.#socket);
  }

  /** Asks for a secret. Undefined: the client has none of that id. @throws LighterError beyond a limit */
  async secret(id: string): Promise<Uint8Array | undefined> {
    const stream = await this.open({ kind: "secret", id });
    if (stream === undefined) return undefined;
    stream.end();
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > SECRET_MAX_BYTES)
        throw new LighterError("invalid", `secret ${id} has more than ${SECRET_MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  /** Asks for a directory, as a tar. @throws LighterError if the client has none of that name */
  async *context(name: string): AsyncGenerator<Uint8Array> {
    const stream = await this.open({ kind: "context", id: name });
    if (stream === undefined) throw new LighterError("invalid", `the client has no context "${name}"`);
    stream.end();
    yield* stream as AsyncIterable<Uint8Array>;
  }

  /** Asks for a file of the context that was sent. @throws LighterError if it is gone */
  async *contextFile(path: string): AsyncGenerator<Uint8Array> {
    const stream = await this.open({ kind: "context-file", id: path });
    if (stream === undefined) throw new LighterError("invalid", `the context has no file "${path}" any more`);
    stream.end();
    yield* stream as AsyncIterable<Uint8Array>;
  }

  /** A directory that a cache is kept in. @throws LighterError "not-found" for a blob that is not there */
  directory(path: string): ClientDirectory {
    return {
      has: async () => false, // `write` finds out
      read: (digest) => this.#blob(`${digest} ${path}`),
      write: async ({ digest }, read) => {
        const stream = await this.open({ kind: "write-blob", id: `${digest} ${path}` });
        if (stream === undefined) return; // the client has it
        await writeAll(read(), stream);
        for await (const _ of stream); // it ends when the client has written the last byte
      },
    };
  }

  async *#blob(id: string): AsyncGenerator<Uint8Array> {
    const stream = await this.open({ kind: "read-blob", id });
    if (stream === undefined) throw new LighterError("not-found", `the client has no blob ${id}`);
    stream.end();
    yield* stream as AsyncIterable<Uint8Array>;
  }

  ssh(id: string): Promise<Duplex | undefined> {
    return this.open({ kind: "ssh", id });
  }

  /** Asks for somebody to use a shell. */
  async shell(): Promise<StepTerminal | undefined> {
    const stream = await this.open({ kind: "shell", id: "" });
    return stream && { stream, sizes: await this.open({ kind: "shell-sizes", id: "" }) };
  }
}

/** The sessions by the ids that clients have given them. */
export type ClientSessions = Map<string, ClientSession>;

/** Finds the session that a request names. @throws LighterError "invalid" */
export function findSession(sessions: ClientSessions, id: string): ClientSession {
  const session = sessions.get(id);
  if (session === undefined) throw new LighterError("invalid", `no active session for ${id}`);
  return session;
}

/** POST /lighter/builds/context?session=ID: the context of the session's build. */
export async function sendContext(call: AnswerCall): Promise<void> {
  await sessionOf(call).sentContext.give(call.request);
  sendEmpty(call.response, 200);
}

/** Handles POST /lighter/builds/context in the file worker that needs the context. */
export function uploadContext(call: Call): Upload {
  return async (body) => {
    await sessionOf(call).sentContext.give(body);
    return { contentType: "text/plain; charset=utf-8", text: "" };
  };
}

function sessionOf({ daemon, query }: Call): ClientSession {
  return findSession(daemon.clientSessions, query.text("session") ?? "");
}

/** POST /lighter/builds/session?id=ID: the connection is the client's session until it ends. */
export function openClientSession({ daemon, query, request, socket }: UpgradeCall): void {
  const id = query.text("id");
  if (id === undefined || request.headers.upgrade !== PROTOCOL)
    throw new LighterError("invalid", "a build's session needs an id and an upgrade");
  if (daemon.clientSessions.has(id)) throw new LighterError("invalid", `session ${id} already exists`);
  daemon.clientSessions.set(id, new ClientSession(socket));
  socket.once("close", () => daemon.clientSessions.delete(id));
  socket.write(formatHead(101, "Switching Protocols", { Connection: "Upgrade", Upgrade: PROTOCOL }));
}
