/**
 * Container output of one connection split into stdout and stderr.
 *
 *   0        1   2   3   4             8
 *   +--------+-----------+-------------+--------------
 *   | stream |  0  0  0  | size, u32BE | size bytes …
 *   +--------+-----------+-------------+--------------
 *
 * stream: 0 and 1 stdout, 2 stderr, 3 a message of the daemon about the stream itself.
 * Source: Engine API, ContainerAttach, "Stream format".
 */
import { text } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { DAEMON_MESSAGE_MAX_BYTES } from "../../base/limits.ts";

export type StreamName = "stdout" | "stderr";

/** Messages of a stream of POST /lighter/run, each in one frame. */
export type OwnStream = "created" | "failed" | "exited";

const OWN_STREAMS: Readonly<Record<number, OwnStream>> = { 16: "created", 17: "failed", 18: "exited" };
const ERROR = 3;

const HEADER_BYTES = 8;

export class Demultiplexer {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerLength = 0;
  #stream = 0;
  #remaining = 0;
  #message: Uint8Array[] = [];
  #messageBytes = 0;

  /** `hasOwn`: the stream may contain frames of our own. */
  constructor(private readonly hasOwn = false) {}

  /**
   * Yields the pieces that can be printed, as views into `bytes`: output is passed on at once, messages when they are
   * complete.
   * @throws LighterError ("unavailable") for another stream number, or with the daemon's own message
   */
  *push(bytes: Uint8Array): Generator<{ stream: StreamName | OwnStream; bytes: Uint8Array }> {
    let at = 0;
    while (at < bytes.length) {
      if (this.#remaining === 0 && this.#headerLength < HEADER_BYTES) {
        const part = bytes.subarray(at, at + HEADER_BYTES - this.#headerLength);
        this.#header.set(part, this.#headerLength);
        this.#headerLength += part.length;
        at += part.length;
        if (this.#headerLength === HEADER_BYTES) this.#startFrame();
        continue;
      }
      const part = bytes.subarray(at, at + this.#remaining);
      at += part.length;
      this.#remaining -= part.length;
      if (this.#remaining === 0) this.#headerLength = 0;
      if (this.#stream < ERROR) {
        yield { stream: this.#stream === 2 ? "stderr" : "stdout", bytes: part };
        continue;
      }
      const message = this.#collectMessage(part);
      const own = OWN_STREAMS[this.#stream];
      if (message !== undefined && own === undefined)
        throw new LighterError("unavailable", `error from daemon in stream: ${text(message)}`);
      if (message !== undefined) yield { stream: own!, bytes: message };
    }
  }

  #startFrame(): void {
    const stream = this.#header[0] ?? 0;
    if (stream > ERROR && !(this.hasOwn && Object.hasOwn(OWN_STREAMS, stream)))
      throw new LighterError("unavailable", `read the container's output: unknown stream ${stream}`);
    this.#stream = stream;
    this.#remaining = new DataView(this.#header.buffer).getUint32(4);
    if (this.#remaining === 0) this.#headerLength = 0;
  }

  /** Returns the whole message once its last part has come. */
  #collectMessage(part: Uint8Array): Uint8Array | undefined {
    this.#messageBytes += part.length;
    if (this.#messageBytes > DAEMON_MESSAGE_MAX_BYTES)
      throw new LighterError("unavailable", "read the container's output: the daemon's message is too long");
    this.#message.push(new Uint8Array(part));
    if (this.#remaining > 0) return undefined;
    const message = Buffer.concat(this.#message);
    this.#message = [];
    this.#messageBytes = 0;
    return message;
  }
}
