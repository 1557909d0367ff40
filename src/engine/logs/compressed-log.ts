/**
 * A rotated log as gzip. Any tool reads it; for ourselves the header has a field of its own:
 *
 *   1f 8b 08 | flags: FEXTRA | time: 0000 | 00 | OS: 03 | length of extra u16 | "LG" | length u16 | inode u64 | deflate … | crc u32 | size u32
 *
 * The inode is that of the file as it was written, by which a reader who has that one open knows that it is the same.
 * Source: RFC 1952.
 */
import { readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createDeflateRaw } from "node:zlib";
import { decompress } from "../../image/mod.ts";
import { readRange } from "./read-range.ts";

const HEADER_BYTES = 24;
const HEADER_START = Buffer.from("1f8b0804000000000003" + "0c00" + "4c470800", "hex");
/** The value for an unknown inode; no file has it. */
const UNKNOWN = 0n;

function encodeHeader(inode: bigint): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  HEADER_START.copy(header);
  header.writeBigUInt64LE(inode, HEADER_START.length);
  return header;
}

/** Returns the inode of the file that was compressed; 0 if another program has compressed it. */
export function inodeOfCompressed(fd: number): bigint {
  const header = Buffer.alloc(HEADER_BYTES);
  const isOurs =
    readSync(fd, header, 0, HEADER_BYTES, 0) === HEADER_BYTES &&
    header.subarray(0, HEADER_START.length).equals(HEADER_START);
  return isOurs ? header.readBigUInt64LE(HEADER_START.length) : UNKNOWN;
}

/** Reads what was compressed. A chunk is valid until the next one is asked for. @throws LighterError "invalid" */
export function readCompressed(fd: number): AsyncGenerator<Uint8Array> {
  const source = Readable.from(readRange(fd, 0, Number.POSITIVE_INFINITY), { objectMode: false });
  return decompress(source, "gzip");
}

/** Compresses an open file into a new one, durably. Ends early, with its reason, when `signal` says so. */
export async function writeCompressed(
  plainFd: number,
  inode: bigint,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  await using to = await open(path, "w", 0o640);
  await writeAll(to, encodeHeader(inode));
  let [crc, size] = [0, 0];
  const counted = (async function* () {
    for await (const chunk of readRange(plainFd, 0, Number.POSITIVE_INFINITY)) {
      signal.throwIfAborted();
      crc = crc32(chunk, crc);
      size = (size + chunk.length) % 2 ** 32;
      yield chunk;
    }
  })();
  await pipeline(counted, createDeflateRaw(), async (deflated) => {
    for await (const chunk of deflated) await writeAll(to, chunk);
  });
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(size, 4);
  await writeAll(to, trailer);
  await to.datasync();
}

async function writeAll(to: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await to.write(bytes, done)).bytesWritten;
}
