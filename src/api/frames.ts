import type { LogEntry } from "../engine/mod.ts";

/** Of Docker's multiplexed stream: 1 stdout, 2 stderr. */
const STREAM_NUMBER: Readonly<Record<LogEntry["stream"], number>> = { stdout: 1, stderr: 2 };
const FRAME_HEADER_BYTES = 8;

/**
 * One frame of a multiplexed stream:
 *
 *   | stream u8 | 0 0 0 | length u32, big-endian | payload … |
 *
 * Source: Docker Engine API, ContainerAttach, "Stream format".
 */
export function encodeFrame(stream: LogEntry["stream"], payload: string): Buffer {
  const length = Buffer.byteLength(payload);
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
  frame.writeUInt32BE(STREAM_NUMBER[stream] << 24, 0);
  frame.writeUInt32BE(length, 4);
  frame.write(payload, FRAME_HEADER_BYTES);
  return frame;
}
