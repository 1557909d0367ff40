/** gRPC's messages within a stream of bytes: a flag, a length of four bytes, and the message. */
import { LighterError } from "../base/errors.ts";
import { GRPC_MESSAGE_MAX_BYTES } from "../base/limits.ts";

const HEADER_BYTES = 5;

export function frameOf(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, HEADER_BYTES);
  return frame;
}

/**
 * Yields the messages of a stream, of which some pieces come at a time: all that those complete.
 * @throws LighterError "invalid" for one that is compressed or too large, and for a stream that ends in the middle of one
 */
export async function* readMessages(
  received: AsyncIterable<readonly Uint8Array[]>,
): AsyncGenerator<readonly Uint8Array[]> {
  let parts: Uint8Array[] = [];
  let [length, wanted] = [0, HEADER_BYTES];
  for await (const pieces of received) {
    const messages: Uint8Array[] = [];
    for (const piece of pieces) {
      parts.push(piece);
      length += piece.length;
      if (length < wanted) continue;
      let rest = parts.length === 1 ? piece : Buffer.concat(parts);
      for (wanted = frameLength(rest); rest.length >= wanted; wanted = frameLength(rest)) {
        if (rest.length < HEADER_BYTES) break;
        messages.push(rest.subarray(HEADER_BYTES, wanted));
        rest = rest.subarray(wanted);
      }
      parts = rest.length === 0 ? [] : [rest];
      length = rest.length;
    }
    if (messages.length > 0) yield messages;
  }
  if (length > 0) throw new LighterError("invalid", "the stream ended in the middle of a message");
}

/** The length of the frame that begins with `bytes`, or of its header if that is not there yet. */
function frameLength(bytes: Uint8Array): number {
  if (bytes.length < HEADER_BYTES) return HEADER_BYTES;
  if (bytes[0] !== 0) throw new LighterError("invalid", "a message is compressed");
  const length = ((bytes[1]! << 24) | (bytes[2]! << 16) | (bytes[3]! << 8) | bytes[4]!) >>> 0;
  if (length > GRPC_MESSAGE_MAX_BYTES)
    throw new LighterError("invalid", `a message has ${length} bytes, more than ${GRPC_MESSAGE_MAX_BYTES}`);
  return HEADER_BYTES + length;
}
