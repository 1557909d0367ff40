/** One call's part of an HTTP/2 connection: headers and bytes in both directions. */
import type { Header } from "./hpack.ts";
import { FLAG, FRAME, FRAME_MAX_BYTES, formatNumber, RESET } from "./http2-frames.ts";

/** What a stream needs of its connection. */
export interface Carrier {
  /** The bytes that the peer takes of all streams. */
  sendWindow: number;
  sendFrame(type: number, flags: number, streamId: number, payload: Uint8Array): void;
  sendHeaders(streamId: number, headers: Iterable<Header>, isEnd: boolean): void;
  /** Resolves when the connection takes more. Undefined: it does. */
  congestion(): Promise<void> | undefined;
  forget(streamId: number): void;
}

const NOTHING = new Uint8Array();

export class Http2Stream {
  readonly id: number;
  readonly #carrier: Carrier;
  /** The headers at the beginning, and the last ones after them, as they come. */
  readonly heads: (readonly Header[])[] = [];
  readonly #windowBytes: number;
  #received: Uint8Array[] = [];
  /** How many bytes the peer may send, and how many were taken since it was told. */
  #receiveWindow: number;
  #taken = 0;
  #wakeReader: (() => void) | undefined;
  #isRemoteEnded = false;
  #failure: Error | undefined;
  #sendWindow: number;
  #waiting: Uint8Array[] = [];
  #wakeSender: (() => void) | undefined;
  /** What ends the sending once everything has gone: trailers, if any. */
  #ending: readonly Header[] | undefined;
  #isEnded = false;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  /** The windows: what the peer may send, and what it takes. */
  constructor(id: number, carrier: Carrier, { receive, send }: { receive: number; send: number }) {
    this.id = id;
    this.#carrier = carrier;
    this.#windowBytes = receive;
    this.#receiveWindow = receive;
    this.#sendWindow = send;
  }

  /** Resolves when nothing more goes in either direction. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Yields all bytes that have come, each time. @throws what the stream has failed with */
  async *received(): AsyncGenerator<readonly Uint8Array[]> {
    for (;;) {
      const pieces = this.#received;
      if (pieces.length > 0) {
        this.#received = [];
        this.#acknowledge(pieces);
        yield pieces;
      } else if (this.#failure !== undefined) throw this.#failure;
      else if (this.#isRemoteEnded) return;
      else
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
    }
  }

  #acknowledge(pieces: readonly Uint8Array[]): void {
    for (const { length } of pieces) this.#taken += length;
    if (this.#taken < this.#windowBytes / 2 || this.#isRemoteEnded) return;
    this.#carrier.sendFrame(FRAME.windowUpdate, 0, this.id, formatNumber(this.#taken));
    this.#receiveWindow += this.#taken;
    this.#taken = 0;
  }

  sendHeaders(headers: Iterable<Header>): void {
    if (!this.#isEnded && !this.#isClosed) this.#carrier.sendHeaders(this.id, headers, false);
  }

  /** Sends bytes. Resolves when they have gone, and the connection takes more. Undefined: at once. */
  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#isClosed) return undefined;
    this.#waiting.push(bytes);
    this.pump();
    return this.#waiting.length === 0 ? this.#carrier.congestion() : this.#sent();
  }

  async #sent(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed)
      await new Promise<void>((resolve) => {
        this.#wakeSender = resolve;
      });
    await this.#carrier.congestion();
  }

  /** Ends the sending after what was sent, with trailers if there are any. */
  end(trailers: readonly Header[] = []): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#ending = trailers;
    this.pump();
  }

  /** Ends both directions at once, unless that has happened. */
  reset(code: number = RESET.cancel, failure: Error = new Error("the call was cancelled")): void {
    if (this.#isClosed) return;
    this.#carrier.sendFrame(FRAME.reset, 0, this.id, formatNumber(code));
    this.fail(failure);
  }

  /** Sends as much as the peer takes. */
  pump(): void {
    while (this.#waiting.length > 0) {
      const [bytes] = this.#waiting as [Uint8Array];
      const length = Math.min(bytes.length, FRAME_MAX_BYTES, this.#sendWindow, this.#carrier.sendWindow);
      if (length <= 0) return;
      this.#carrier.sendFrame(FRAME.data, 0, this.id, bytes.subarray(0, length));
      this.#carrier.sendWindow -= length;
      this.#sendWindow -= length;
      if (length === bytes.length) this.#waiting.shift();
      else this.#waiting[0] = bytes.subarray(length);
    }
    this.#wakeSender?.();
    if (this.#ending === undefined || this.#isEnded) return;
    this.#isEnded = true;
    if (this.#ending.length > 0) this.#carrier.sendHeaders(this.id, this.#ending, true);
    else this.#carrier.sendFrame(FRAME.data, FLAG.endStream, this.id, NOTHING);
    this.#closeIfEnded();
  }

  /** The peer takes more, or less. */
  addSendWindow(byteCount: number): void {
    this.#sendWindow += byteCount;
    if (byteCount > 0) this.pump();
  }

  takeHeaders(headers: readonly Header[]): void {
    this.heads[Math.min(this.heads.length, 1)] = headers;
  }

  /** Takes bytes of the peer's. Returns false if it may not send so many. */
  takeData(bytes: Uint8Array): boolean {
    this.#receiveWindow -= bytes.length;
    if (this.#receiveWindow < 0) return false;
    if (bytes.length === 0 || this.#isRemoteEnded) return true;
    this.#received.push(bytes);
    this.#wakeReader?.();
    return true;
  }

  takeEnd(): void {
    this.#isRemoteEnded = true;
    this.#wakeReader?.();
    this.#closeIfEnded();
  }

  #closeIfEnded(): void {
    if (this.#isEnded && this.#isRemoteEnded) this.#close();
  }

  /** Both directions have ended. What has come before can be read; a peer that had ended its own may reset the rest. */
  fail(failure: Error): void {
    if (!this.#isRemoteEnded) this.#failure ??= failure;
    this.#waiting = [];
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#carrier.forget(this.id);
    this.#wakeReader?.();
    this.#wakeSender?.();
    this.#closed.resolve();
  }
}
