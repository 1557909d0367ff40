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

/** Messages of a stream of our own requests, which run something at once: each in one frame. */
export type OwnStream = "created" | "failed" | "exited";

const OWN_STREAMS: Readonly<Record<number, OwnStream>> = { 16: "created", 17: "failed", 18: "exited" };
const ERROR = 3;

const HEADER_BYTES = 8;

export class Demultiplexer {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerLength = 0;
  /** The stream of the frame that has begun last. */
  #stream = 0;
  #remaining = 0;
  #message: Uint8Array[] = [];
  #messageBytes = 0;

  /** `hasOwn`: the stream may contain frames of our own. */
  constructor(private readonly hasOwn = false) {}

  /**
   * Yields the pieces that can be printed, as views into `bytes`: output is passed on at once, messages when they are
   * complete. `bytes` are changed: payloads of one stream that follow each other are moved together, over the headers between
   * them. A log has a frame a line, and its reader should not need a write(2) for each.
   * @throws LighterError ("unavailable") for another stream number, or with the daemon's own message
   */
  *push(bytes: Uint8Array): Generator<{ stream: StreamName | OwnStream; bytes: Uint8Array }> {
    let at = 0;
    let [start, end] = [0, 0]; // what is gathered of #stream
    while (at < bytes.length) {
      if (this.#remaining === 0) {
        const rest = bytes.subarray(at, at + HEADER_BYTES - this.#headerLength);
        this.#header.set(rest, this.#headerLength);
        this.#headerLength += rest.length;
        at += rest.length;
        if (this.#headerLength < HEADER_BYTES) break;
        this.#headerLength = 0;
        if (this.#header[0] !== this.#stream && end > start) {
          yield this.#output(bytes.subarray(start, end));
          [start, end] = [0, 0];
        }
        this.#startFrame();
        continue;
      }
      const length = Math.min(this.#remaining, bytes.length - at);
      this.#remaining -= length;
      if (this.#stream < ERROR) {
        if (end === start) [start, end] = [at, at];
        else bytes.copyWithin(end, at, at + length);
        end += length;
        at += length;
        continue;
      }
      const message = this.#collectMessage(bytes.subarray(at, at + length));
      at += length;
      const own = OWN_STREAMS[this.#stream];
      if (message !== undefined && own === undefined)
        throw new LighterError("unavailable", `error from daemon in stream: ${text(message)}`);
      if (message !== undefined) yield { stream: own!, bytes: message };
    }
    if (end > start) yield this.#output(bytes.subarray(start, end));
  }

  #output(bytes: Uint8Array): { stream: StreamName; bytes: Uint8Array } {
    return { stream: this.#stream === 2 ? "stderr" : "stdout", bytes };
  }

  #startFrame(): void {
    const stream = this.#header[0] ?? 0;
    if (stream > ERROR && !(this.hasOwn && Object.hasOwn(OWN_STREAMS, stream)))
      throw new LighterError("unavailable", `read the container's output: unknown stream ${stream}`);
    this.#stream = stream;
    this.#remaining = new DataView(this.#header.buffer).getUint32(4);
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
