/**
 * HTTP/2's frames. Source: RFC 9113, sections 4 and 6.
 *
 *   0 length u24   3 type u8   4 flags u8   5 stream u32, 0 for the connection   9 payload
 */
import { LighterError } from "../base/errors.ts";

export const FRAME = {
  ...{ data: 0, headers: 1, priority: 2, reset: 3, settings: 4, push: 5, ping: 6, goAway: 7, windowUpdate: 8 },
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;
export const SETTING = { push: 2, maxStreams: 3, window: 4, headersBytes: 6 } as const;
/** Why a stream was reset. */
export const RESET = { none: 0, internal: 2, refused: 7, cancel: 8 } as const;

/** What a client sends before its first frame. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEAD_BYTES = 9;
/** The payload that a frame may have. Receivers may allow more, which nobody needs. */
export const FRAME_MAX_BYTES = 16 * 1024;
const SETTING_BYTES = 6;
const PRIORITY_BYTES = 5;

export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  /** The whole, but for DATA: as much of that as has come, and the last part alone has the frame's flags. */
  payload: Uint8Array;
}

export function formatFrameHead(type: number, flags: number, streamId: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return head;
}

/** The payload of a frame that has one number. */
export function formatNumber(value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return payload;
}

export function formatSettings(settings: Iterable<readonly [setting: number, value: number]>): Buffer {
  const rows = Array.from(settings, ([setting, value]) => {
    const row = Buffer.alloc(SETTING_BYTES);
    row.writeUInt16BE(setting);
    row.writeUInt32BE(value, 2);
    return row;
  });
  return Buffer.concat(rows);
}

/** @throws LighterError "invalid" */
export function* parseSettings(payload: Uint8Array): Generator<[setting: number, value: number]> {
  if (payload.length % SETTING_BYTES !== 0) throw brokenFrame("settings");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  for (let at = 0; at < payload.length; at += SETTING_BYTES) yield [view.getUint16(at), view.getUint32(at + 2)];
}

/** The number in a frame that has one. @throws LighterError "invalid" */
export function parseNumber({ payload }: Frame): number {
  if (payload.length !== 4) throw brokenFrame("number");
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}

/** The payload without what surrounds the data, or the headers. @throws LighterError "invalid" */
export function unpadded({ type, flags, payload }: Frame): Uint8Array {
  const isPadded = (flags & FLAG.padded) !== 0;
  const hasPriority = type === FRAME.headers && (flags & FLAG.priority) !== 0;
  const start = (isPadded ? 1 : 0) + (hasPriority ? PRIORITY_BYTES : 0);
  const end = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (start > end) throw brokenFrame("padded");
  return payload.subarray(start, end);
}

export function brokenFrame(what: string): LighterError {
  return new LighterError("invalid", `malformed HTTP/2: a ${what} frame`);
}

/** Finds the frames in a connection's bytes. */
export class FrameReader {
  /** The beginning of a frame. */
  #rest: Uint8Array = new Uint8Array();
  /** The DATA frame whose payload is coming, and how many bytes of that. */
  #data: { flags: number; streamId: number; left: number } | undefined;

  /** Yields the frames that the next bytes complete, and the part of a payload that they have. @throws LighterError "invalid" */
  *push(chunk: Uint8Array): Generator<Frame> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (at < bytes.length || this.#data?.left === 0) {
      if (this.#data !== undefined) {
        const { flags, streamId, left } = this.#data;
        const payload = bytes.subarray(at, at + left);
        at += payload.length;
        this.#data.left -= payload.length;
        const isWhole = this.#data.left === 0;
        if (isWhole) this.#data = undefined;
        yield { type: FRAME.data, flags: isWhole ? flags : 0, streamId, payload };
        continue;
      }
      if (bytes.length - at < HEAD_BYTES) break;
      const length = view.getUint32(at) >>> 8;
      if (length > FRAME_MAX_BYTES) throw brokenFrame("large");
      const [type, flags] = [bytes[at + 3]!, bytes[at + 4]!];
      const streamId = view.getUint32(at + 5) & 0x7fff_ffff;
      const end = at + HEAD_BYTES + length;
      if (type === FRAME.data && (flags & FLAG.padded) === 0) {
        this.#data = { flags, streamId, left: length };
        at += HEAD_BYTES;
        continue;
      }
      if (bytes.length < end) break;
      yield { type, flags, streamId, payload: bytes.subarray(at + HEAD_BYTES, end) };
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}
