/** A DNS client's connection by TCP. */
import type { Socket } from "bun";
import { DNS_IDLE_S, DNS_QUERY_MAX_BYTES, DNS_TURN_COUNT, DNS_UNREAD_MAX_BYTES } from "../../base/limits.ts";
import { FrameReader, frame } from "./length-framed.ts";

/**
 * A client that is connected by TCP. It may send queries before earlier ones are answered; answers go out as they are ready. (RFC
 * 7766)
 */
export class TcpClient {
  readonly #socket: Socket<TcpClient | undefined>;
  readonly #reader = new FrameReader(DNS_QUERY_MAX_BYTES);
  readonly #answer: (message: Uint8Array, reply: (answer: Uint8Array | undefined) => void) => void;
  #untaken: Uint8Array[] = [];
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #waiting = 0;
  #ended = false;
  #gone = false;

  /** `answer` calls its `reply` once, now or later, with undefined if there is no answer. */
  constructor(
    socket: Socket<TcpClient | undefined>,
    answer: (message: Uint8Array, reply: (answer: Uint8Array | undefined) => void) => void,
  ) {
    this.#socket = socket;
    this.#answer = answer;
    socket.timeout(DNS_IDLE_S);
  }

  read(chunk: Uint8Array): void {
    this.#socket.timeout(DNS_IDLE_S);
    const messages = this.#reader.push(chunk);
    if (messages === undefined) return void this.#hangUp();
    const isBusy = this.#untaken.length > 0;
    this.#untaken = this.#untaken.concat(messages);
    if (isBusy) return;
    this.#takeSome();
    if (this.#untaken.length > 0) this.#takeRestLater();
  }

  #takeSome(): void {
    for (const message of this.#untaken.splice(0, DNS_TURN_COUNT)) this.#take(message);
  }

  /** Lets others have their turn before the rest is handled; nothing more is read until then. */
  #takeRestLater(): void {
    this.#socket.pause();
    const takeMore = () => {
      this.#takeSome();
      if (this.#untaken.length > 0) setImmediate(takeMore);
      else if (!this.#gone) this.#socket.resume();
      this.#endIfDone();
    };
    setImmediate(takeMore);
  }

  #take(message: Uint8Array): void {
    if (this.#gone) return;
    this.#waiting++;
    this.#answer(message, (answer) => {
      this.#waiting--;
      if (answer !== undefined) this.#write(frame(answer));
      this.#endIfDone();
    });
  }

  /** The client sends no more queries; it still gets the answers that are due. */
  end(): void {
    this.#ended = true;
    this.#endIfDone();
  }

  #endIfDone(): void {
    const isDone = this.#waiting === 0 && this.#untaken.length === 0 && this.#unreadBytes === 0;
    if (this.#ended && isDone && !this.#gone) this.#socket.end();
  }

  /** Writes an answer. Bytes that the kernel does not take are kept, up to a limit. */
  #write(bytes: Uint8Array): void {
    if (this.#gone) return;
    const written = this.#unreadBytes > 0 ? 0 : Math.max(this.#socket.write(bytes), 0);
    if (written === bytes.length) return;
    this.#unread.push(bytes.subarray(written));
    this.#unreadBytes += bytes.length - written;
    if (this.#unreadBytes > DNS_UNREAD_MAX_BYTES) this.#hangUp();
  }

  drain(): void {
    const bytes = Buffer.concat(this.#unread);
    this.#unread = [];
    this.#unreadBytes = 0;
    if (bytes.length > 0) this.#write(bytes);
    this.#endIfDone();
  }

  /** Called when nothing came and nothing could be written for a while. */
  idle(): void {
    if (this.#waiting > 0 && this.#unreadBytes === 0) this.#socket.timeout(DNS_IDLE_S);
    else this.#hangUp();
  }

  #hangUp(): void {
    this.closed();
    this.#socket.terminate();
  }

  closed(): void {
    this.#gone = true;
    this.#untaken = [];
    this.#unread = [];
  }
}
