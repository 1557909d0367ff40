/**
 * Bodies of which parts are in files. Between two processes on one host, over a unix socket, a sender need not send the bytes of a
 * file that it has opened: it sends the descriptor, in the place of a chunk's bytes.
 *
 *   | size, hexadecimal, ";file=" offset, hexadecimal CRLF |   and, with the line's first byte, a descriptor
 *
 * An offer may be refused, or the descriptor be lost on the way. So the receiver says that it is ready by TAKES_FILES, the sender
 * tries it with a range of 0 bytes, and each range is confirmed by TAKES_FILES. PLAIN_ONLY asks for the bytes of all files. Ranges of
 * an answer are not confirmed: who misses a descriptor asks for the answer once more, without the offer.
 */

/** Bytes of an open file. Whoever has it may read it at any position. */
export interface FileRange {
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
}

/** The header by which a request's sender offers descriptors. */
export const FILES_HEADER = "X-Lighter-Files";

/** Status of the interim answer to an offer, and to each range. */
export const TAKES_FILES = 102;
/** Status of the interim answer that others give to such a request, too: "100-continue". */
export const PLAIN_ONLY = 100;

/** Smaller files are cheaper as bytes: a range is a message of its own. */
export const FILE_RANGE_MIN_BYTES = 256 * 1024;
/** The largest range: what is confirmed at a time. */
const FILE_RANGE_MAX_BYTES = 16 * 1024 * 1024;

/** Divides a file into ranges. */
export function* rangesOf(fd: number, sizeBytes: number): Generator<FileRange> {
  for (let offset = 0; offset < sizeBytes; offset += FILE_RANGE_MAX_BYTES)
    yield { fd, offset, length: Math.min(sizeBytes - offset, FILE_RANGE_MAX_BYTES) };
}

export function formatFileChunk({ offset, length }: Omit<FileRange, "fd">): string {
  return `${length.toString(16)};file=${offset.toString(16)}\r\n`;
}

/** Parses such a line without its end; undefined for any other. */
export function parseFileChunk(line: string): Omit<FileRange, "fd"> | undefined {
  const [, length = "", offset = ""] = /^([0-9a-f]{1,8});file=([0-9a-f]{1,13})$/.exec(line) ?? [];
  if (length === "") return undefined;
  return { offset: Number.parseInt(offset, 16), length: Number.parseInt(length, 16) };
}
