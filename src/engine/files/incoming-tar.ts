/** In a file worker: a tar that comes in from a client, or from the daemon. */
import { type BodyForm, receiveAll, receiveBody, receiveWithFiles } from "../../files/mod.ts";
import { decompressStream, TarReader, type TarSink } from "../../image/mod.ts";
import type { FileRange } from "../../spec/file-range.ts";

/** Where it comes from. `firstFd` has what of a request's body was read already; undefined: the fd has nothing else in it. */
interface IncomingTar {
  fd: number;
  form: BodyForm;
  firstFd: number | undefined;
}

/** Reads a tar, compressed or not, to its end. `onBytes` hears how much there was. @throws LighterError, and what the sink throws */
export async function readIncoming(
  tar: IncomingTar,
  sink: TarSink,
  beat: () => void,
  onBytes: (byteCount: number) => void = () => {},
): Promise<void> {
  const reader = new TarReader(sink);
  for await (const piece of piecesOf(tar, beat)) {
    if ("fd" in piece) reader.pushFile(piece);
    else reader.push(piece);
    onBytes(piece.length);
    beat();
  }
  reader.end();
}

/** One of which parts are in files is not compressed. */
function piecesOf({ fd, form, firstFd }: IncomingTar, beat: () => void): AsyncIterable<Uint8Array | FileRange> {
  if (firstFd === undefined) return decompressStream(receiveAll(fd, beat));
  const body = { fd, form, firstFd };
  return form === "files" ? receiveWithFiles(body, beat) : decompressStream(receiveBody(body, beat));
}
