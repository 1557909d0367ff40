/** Docker's frames, in which one stream carries stdout and stderr. */
import { FRAME_HEADER_BYTES, type LogEntry } from "../../engine/mod.ts";

/**
 * A frame's stream. "error" has the daemon's own words about the stream. The last three are used by our own requests alone, which run
 * something at once.
 */
type FrameStream = LogEntry["stream"] | "error" | "created" | "failed" | "exited";

const STREAM_NUMBER: Readonly<Record<FrameStream, number>> = {
  ...{ stdout: 1, stderr: 2, error: 3 },
  ...{ created: 16, failed: 17, exited: 18 },
};

/**
 * Encodes one frame of a multiplexed stream:
 *
 *   | stream u8 | 0 0 0 | length u32, big-endian | payload … |
 *
 * Source: Docker Engine API, ContainerAttach, "Stream format".
 */
export function encodeFrame(stream: FrameStream, payload: string | Buffer): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt8(STREAM_NUMBER[stream], 0);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}
