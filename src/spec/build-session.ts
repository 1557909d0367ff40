/**
 * What a build asks its client for, on a connection of its own (POST /lighter/builds/session). Streams go both ways, each begun by
 * the daemon:
 *
 *   byte 0       4      8        12
 *   [ stream ][ kind ][ length ][ payload ]      numbers big-endian
 *
 *   daemon                    client
 *   open {kind, id}   ───►
 *                     ◄───    accept, or missing: it has none of that id
 *   data, end         ◄──►    data, end
 *   fail              ◄──►    fail, with a text: the stream is over in both directions
 */
import { LighterError } from "../base/errors.ts";

export const FRAME_KINDS = { open: 0, accept: 1, missing: 2, data: 3, end: 4, fail: 5 } as const;
export type FrameKind = (typeof FRAME_KINDS)[keyof typeof FRAME_KINDS];

export interface Frame {
  stream: number;
  kind: FrameKind;
  payload: Uint8Array;
}

/** What a stream is for. */
export interface StreamRequest {
  /**
   * "secret", "ssh", "context" (a tar) and "context-file" (by its path, in bytes) give, "output" takes what an exporter makes. "read-blob" and "write-blob" give and take a
   * file of a cache, by "DIGEST DIRECTORY"; one that is there already is not taken. "shell" is what a user types and sees where a
   * command has failed; "shell-sizes" are lines, "ROWS COLUMNS", if that is on a terminal.
   */
  kind: "secret" | "ssh" | "context" | "context-file" | "output" | "read-blob" | "write-blob" | "shell" | "shell-sizes";
  id: string;
}

/** Begins the DIRECTORY of an output; its index follows. */
export const OUTPUT_DIRECTORY = "output:";

export const NO_PAYLOAD = new Uint8Array(0);

const HEADER_BYTES = 12;
const LAST_KIND = Math.max(...Object.values(FRAME_KINDS));
/** The payload of one frame. A longer one is an error. */
export const FRAME_MAX_BYTES = 1024 * 1024;

export function encodeFrame({ stream, kind, payload }: Frame): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, stream);
  view.setUint32(4, kind);
  view.setUint32(8, payload.length);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Reads frames from bytes that come in arbitrary pieces. */
export class FrameDecoder {
  #pending = new Uint8Array(0);

  /** The frames that are complete; payloads are copies. @throws LighterError "invalid" for what is no frame */
  push(bytes: Uint8Array): Frame[] {
    const whole = new Uint8Array(this.#pending.length + bytes.length);
    whole.set(this.#pending);
    whole.set(bytes, this.#pending.length);
    const view = new DataView(whole.buffer);
    const frames: Frame[] = [];
    let at = 0;
    while (whole.length - at >= HEADER_BYTES) {
      const [stream, kind, length] = [view.getUint32(at), view.getUint32(at + 4), view.getUint32(at + 8)];
      if (kind > LAST_KIND || length > FRAME_MAX_BYTES)
        throw new LighterError("invalid", `a frame of a build's session has the kind ${kind} and ${length} bytes`);
      if (whole.length - at < HEADER_BYTES + length) break;
      const payload = whole.slice(at + HEADER_BYTES, at + HEADER_BYTES + length);
      frames.push({ stream, kind: kind as FrameKind, payload });
      at += HEADER_BYTES + length;
    }
    this.#pending = whole.slice(at);
    return frames;
  }
}
