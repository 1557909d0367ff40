/** Bytes in the messages that carry streams. */
import { pieceType } from "../../spec/buildkit.ts";

/** Bytes of an archive, or of a blob, in one message. */
export const PIECE_MAX_BYTES = 1024 * 1024;

export async function* piecesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes)
    for (let at = 0; at < chunk.length; at += PIECE_MAX_BYTES)
      yield pieceType.encode({ data: chunk.subarray(at, at + PIECE_MAX_BYTES) });
}

export async function* dataOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) yield pieceType.decode(piece).data;
}
