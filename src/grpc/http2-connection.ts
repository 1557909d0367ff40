/** HTTP/2 on a given connection, as far as gRPC needs it: no pushes, no priorities. Source: RFC 9113. */
import type { Duplex } from "node:stream";
import { LighterError } from "../base/errors.ts";
import { GRPC_HEADERS_MAX_BYTES, GRPC_MAX_STREAMS } from "../base/limits.ts";
import { writable } from "../base/writable.ts";
import { encodeHeaders, type Header, HeaderDecoder } from "./hpack.ts";
import {
  brokenFrame,
  FLAG,
  FRAME,
  FRAME_MAX_BYTES,
  type Frame,
  FrameReader,
  formatFrameHead,
  formatNumber,
  formatSettings,
  PREFACE,
  parseNumber,
  parseSettings,
  RESET,
  SETTING,
  unpadded,
} from "./http2-frames.ts";
import { type Carrier, Http2Stream } from "./http2-stream.ts";

/** The windows before anybody says otherwise. */
const DEFAULT_WINDOW_BYTES = 65_535;
/** What a peer may send on all streams together. Each has a smaller window of its own. */
const CONNECTION_WINDOW_BYTES = 2 ** 30;
const WINDOW_MAX_BYTES = 2 ** 31 - 1;
/** A peer that makes us answer, and does not read the answers, is given up when so much waits for it. */
const ANSWERS_MAX_BYTES = 16 * 1024 * 1024;

interface Http2Options {
  /** What a peer may send of a call before somebody takes it. */
  windowBytes: number;
  /** Answers a call of the peer's. Undefined: the peer answers ours. */
  accept?: (stream: Http2Stream) => void;
}

export class Http2Connection implements Carrier, Disposable {
  readonly #socket: Duplex;
  readonly #windowBytes: number;
  readonly #accept: ((stream: Http2Stream) => void) | undefined;
  readonly #reader = new FrameReader();
  readonly #decoder = new HeaderDecoder();
  readonly #streams = new Map<number, Http2Stream>();
  /** The last stream that was opened. */
  #lastId: number;
  /** How much of a client's preface is to come. */
  #prefaceLeft: number;
  /** Headers that are continued in the next frame. */
  #block: { streamId: number; flags: number; parts: Uint8Array[]; length: number } | undefined;
  #received = 0;
  #peerWindow = DEFAULT_WINDOW_BYTES;
  sendWindow = DEFAULT_WINDOW_BYTES;
  /** The frames of this turn, which go together. */
  #outgoing: Uint8Array[] = [];
  #congestion: Promise<void> | undefined;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  /** Takes the connection, on which nothing was sent in HTTP/2 yet. */
  constructor(socket: Duplex, { windowBytes, accept }: Http2Options) {
    this.#socket = socket;
    this.#windowBytes = windowBytes;
    this.#accept = accept;
    this.#lastId = accept === undefined ? -1 : 0;
    this.#prefaceLeft = accept === undefined ? 0 : PREFACE.length;
    if (accept === undefined) this.#write(PREFACE);
    const own = accept === undefined ? ([SETTING.push, 0] as const) : ([SETTING.maxStreams, GRPC_MAX_STREAMS] as const);
    const settings = formatSettings([
      own,
      [SETTING.window, windowBytes],
      [SETTING.headersBytes, GRPC_HEADERS_MAX_BYTES],
    ]);
    this.sendFrame(FRAME.settings, 0, 0, settings);
    this.sendFrame(FRAME.windowUpdate, 0, 0, formatNumber(CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES));
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk));
    socket.resume(); // whoever read before may have paused it
    socket.on("error", () => socket.destroy()); // calls fail by their streams
    socket.once("close", () => this.#end(new Error("the peer has gone away")));
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  [Symbol.dispose](): void {
    this.#end(new Error("the connection was given up"));
  }

  /** Calls the peer. */
  open(headers: Iterable<Header>): Http2Stream {
    this.#lastId += 2;
    const stream = this.#newStream(this.#lastId);
    stream.sendHeaders(headers);
    return stream;
  }

  #newStream(id: number): Http2Stream {
    const stream = new Http2Stream(id, this, { receive: this.#windowBytes, send: this.#peerWindow });
    this.#streams.set(id, stream);
    return stream;
  }

  #end(failure: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    for (const stream of [...this.#streams.values()]) stream.fail(failure);
    this.#closed.resolve();
  }

  #take(chunk: Uint8Array): void {
    try {
      for (const frame of this.#reader.push(this.#withoutPreface(chunk))) {
        if (this.#isClosed) return;
        this.#takeFrame(frame);
      }
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      this.#end(error);
    }
  }

  #withoutPreface(chunk: Uint8Array): Uint8Array {
    if (this.#prefaceLeft === 0) return chunk;
    const own = chunk.subarray(0, this.#prefaceLeft);
    const start = PREFACE.length - this.#prefaceLeft;
    if (!PREFACE.subarray(start, start + own.length).equals(own)) throw brokenFrame("first");
    this.#prefaceLeft -= own.length;
    return chunk.subarray(own.length);
  }

  #takeFrame(frame: Frame): void {
    const { type, flags, streamId, payload } = frame;
    if (this.#block !== undefined && (type !== FRAME.continuation || streamId !== this.#block.streamId))
      throw brokenFrame("foreign");
    if (type === FRAME.data) this.#takeData(frame);
    else if (type === FRAME.headers) this.#beginHeaders(frame);
    else if (type === FRAME.continuation) this.#continueHeaders(frame);
    else if (type === FRAME.reset) this.#streams.get(streamId)?.fail(new Error(`the peer has ended the call`));
    else if (type === FRAME.settings) this.#takeSettings(frame);
    else if (type === FRAME.windowUpdate) this.#takeWindow(frame);
    else if (type === FRAME.ping && (flags & FLAG.ack) === 0) this.#answer(FRAME.ping, payload);
    else if (type === FRAME.push) throw brokenFrame("push");
  }

  #takeData(frame: Frame): void {
    const { flags, streamId } = frame;
    const data = unpadded(frame);
    const stream = this.#streams.get(streamId);
    if (stream?.takeData(data) === false) throw brokenFrame("too large");
    if ((flags & FLAG.endStream) !== 0) stream?.takeEnd();
    this.#received += frame.payload.length;
    if (this.#received < CONNECTION_WINDOW_BYTES / 2) return;
    this.sendFrame(FRAME.windowUpdate, 0, 0, formatNumber(this.#received));
    this.#received = 0;
  }

  #beginHeaders(frame: Frame): void {
    const { flags, streamId } = frame;
    this.#block = { streamId, flags, parts: [], length: 0 };
    this.#addHeaders(unpadded(frame), flags);
  }

  #continueHeaders({ flags, payload }: Frame): void {
    if (this.#block === undefined || payload.length === 0) throw brokenFrame("continuation");
    this.#addHeaders(payload, flags);
  }

  #addHeaders(part: Uint8Array, flags: number): void {
    const block = this.#block!;
    block.parts.push(part);
    block.length += part.length;
    if (block.length > GRPC_HEADERS_MAX_BYTES) throw brokenFrame("too large headers");
    if ((flags & FLAG.endHeaders) === 0) return;
    this.#block = undefined;
    const headers = this.#decoder.decode(Buffer.concat(block.parts));
    this.#takeHeaders(block.streamId, headers, (block.flags & FLAG.endStream) !== 0);
  }

  #takeHeaders(streamId: number, headers: readonly Header[], isEnd: boolean): void {
    const known = this.#streams.get(streamId);
    const isNew = known === undefined && this.#accept !== undefined && streamId > this.#lastId;
    if (isNew && streamId % 2 === 0) throw brokenFrame("even");
    if (isNew) this.#lastId = streamId;
    if (isNew && this.#streams.size >= GRPC_MAX_STREAMS) {
      this.sendFrame(FRAME.reset, 0, streamId, formatNumber(RESET.refused));
      return;
    }
    const stream = isNew ? this.#newStream(streamId) : known;
    stream?.takeHeaders(headers);
    if (isEnd) stream?.takeEnd();
    if (isNew) this.#accept!(stream!);
  }

  #takeSettings({ flags, payload }: Frame): void {
    if ((flags & FLAG.ack) !== 0) return;
    for (const [setting, value] of parseSettings(payload)) {
      if (setting !== SETTING.window) continue;
      if (value > WINDOW_MAX_BYTES) throw brokenFrame("settings");
      const more = value - this.#peerWindow;
      this.#peerWindow = value;
      for (const stream of [...this.#streams.values()]) stream.addSendWindow(more);
    }
    this.#answer(FRAME.settings, new Uint8Array());
  }

  #takeWindow(frame: Frame): void {
    const byteCount = parseNumber(frame) & WINDOW_MAX_BYTES;
    if (frame.streamId !== 0) {
      this.#streams.get(frame.streamId)?.addSendWindow(byteCount);
      return;
    }
    this.sendWindow += byteCount;
    if (this.sendWindow > WINDOW_MAX_BYTES) throw brokenFrame("window");
    for (const stream of [...this.#streams.values()]) stream.pump();
  }

  #answer(type: number, payload: Uint8Array): void {
    if (this.#socket.writableLength > ANSWERS_MAX_BYTES) throw brokenFrame("flood of");
    this.sendFrame(type, FLAG.ack, 0, payload);
  }

  sendFrame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#write(formatFrameHead(type, flags, streamId, payload.length));
    if (payload.length > 0) this.#write(payload);
  }

  sendHeaders(streamId: number, headers: Iterable<Header>, isEnd: boolean): void {
    const block = encodeHeaders(headers);
    for (let at = 0; at === 0 || at < block.length; at += FRAME_MAX_BYTES) {
      const isLast = at + FRAME_MAX_BYTES >= block.length;
      const flags = (isLast ? FLAG.endHeaders : 0) | (isEnd && at === 0 ? FLAG.endStream : 0);
      const type = at === 0 ? FRAME.headers : FRAME.continuation;
      this.sendFrame(type, flags, streamId, block.subarray(at, at + FRAME_MAX_BYTES));
    }
  }

  congestion(): Promise<void> | undefined {
    return this.#congestion;
  }

  forget(streamId: number): void {
    this.#streams.delete(streamId);
  }

  #write(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#outgoing.length === 0) queueMicrotask(() => this.#flush());
    this.#outgoing.push(bytes);
  }

  #flush(): void {
    const frames = this.#outgoing;
    this.#outgoing = [];
    if (this.#isClosed || this.#socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames))) return;
    this.#congestion ??= writable(this.#socket).then(() => {
      this.#congestion = undefined;
    });
  }
}
