/** Compression of layers and archives, which is recognised by their first bytes, never by their names. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip, createZstdCompress, createZstdDecompress, constants as zlib } from "node:zlib";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { filterThrough } from "../../linux/process/filter-program.ts";
import { looksLikeTar } from "./tar-reader.ts";

export type Compression = "none" | "gzip" | "zstd";

/** How many bytes `detectCompression` needs to see. */
const MAGIC_BYTES = 6;

/** Larger chunks halve the cost of decompression; still small enough to keep the event loop turning. */
const CHUNK_BYTES = 256 * 1024;
const READ_BYTES = 1024 * 1024;

/** Compressions that programs of the host undo, as with Docker: no library that is kept has them. */
const PROGRAMS: readonly { name: string; args: readonly string[]; magic: readonly number[] }[] = [
  { name: "xz", args: ["-dc", "--memlimit-decompress=512MiB"], magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: "bzip2", args: ["-dc"], magic: [0x42, 0x5a, 0x68] },
];
const LZ4_MAGIC = [0x04, 0x22, 0x4d, 0x18];

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}

/**
 * The compression of a file with these first bytes. @throws LighterError ("not-supported") for compressions that we only
 * recognise.
 */
export function detectCompression(head: Uint8Array): Compression {
  if (startsWith(head, [0x1f, 0x8b])) return "gzip";
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd])) return "zstd";
  // This is a zstd skippable frame: 0x184D2A50 to 0x184D2A5F, little-endian (RFC 8878 section 3.1.2).
  if (head.length >= 4 && (head[0]! & 0xf0) === 0x50 && startsWith(head.subarray(1), [0x2a, 0x4d, 0x18])) return "zstd";
  for (const { name, magic } of [...PROGRAMS, { name: "lz4", magic: LZ4_MAGIC }])
    if (startsWith(head, magic))
      throw new LighterError("not-supported", `${name} compression is not supported`, {
        hint: "recompress it with gzip or zstd",
      });
  return "none";
}

/** Reads the first bytes of a file, up to `MAGIC_BYTES`. */
export async function readHead(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Reads a regular file. The chunk is reused: it is valid until the next one is asked for. */
async function* readPlain(path: string): AsyncGenerator<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/**
 * Decompresses `source`. A chunk is valid until the next one is asked for.
 * @throws LighterError ("invalid") if the compressed data is corrupt or cut short.
 */
export async function* decompress(source: Readable, compression: "gzip" | "zstd"): AsyncGenerator<Uint8Array> {
  const options = { chunkSize: CHUNK_BYTES };
  const decompressor = compression === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  let sourceError: unknown;
  source.on("error", (error: Error) => {
    sourceError = error;
    decompressor.destroy(error);
  });
  source.pipe(decompressor);
  try {
    for await (const chunk of decompressor) yield chunk as Uint8Array;
  } catch (cause) {
    if (sourceError !== undefined) throw sourceError;
    if (!/^(Z_|ZSTD_|ERR_)/.test(errnoOf(cause))) throw cause;
    throw new LighterError("invalid", `${compression} data is corrupt or cut short`, { cause });
  } finally {
    source.destroy();
    decompressor.destroy();
  }
}

/** Reads and unpacks a file, whatever its compression. A chunk is valid until the next one is asked for. */
export async function* readDecompressed(path: string): AsyncGenerator<Uint8Array> {
  const compression = detectCompression(await readHead(path));
  if (compression === "none") yield* readPlain(path);
  else yield* decompress(createReadStream(path, { highWaterMark: READ_BYTES }), compression);
}

/**
 * Returns the first bytes of a stream, `byteCount` or all that there are, and the whole stream. A chunk is valid until the next
 * one is asked for.
 */
export async function peek(
  source: AsyncIterable<Uint8Array>,
  byteCount: number,
): Promise<{ head: Uint8Array; whole: AsyncGenerator<Uint8Array> }> {
  const chunks = source[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  while (heldBytes < byteCount) {
    const { done, value } = await chunks.next();
    if (done) break;
    heldBytes += value.length;
    held.push(heldBytes < byteCount ? new Uint8Array(value) : value);
  }
  const head = held.length === 1 ? held[0]! : Buffer.concat(held);
  const whole = (async function* () {
    try {
      yield* held;
      for (;;) {
        const { done, value } = await chunks.next();
        if (done) return;
        yield value;
      }
    } finally {
      await chunks.return?.();
    }
  })();
  return { head: head.subarray(0, byteCount), whole };
}

/** Copies the chunks of a source that may reuse their memory, for readers that keep more than one. */
async function* copied(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) yield new Uint8Array(chunk);
}

/** Whether a file with these first bytes is a tar, or something that is compressed. */
export function looksLikeArchive(head: Uint8Array): boolean {
  try {
    return detectCompression(head) !== "none" || looksLikeTar(head);
  } catch {
    return true;
  }
}

/**
 * Unpacks a stream, whatever its compression; xz and bzip2 too. A chunk, like one of `source`, is valid until the next one is asked
 * for.
 * @throws LighterError ("unavailable") if a program is needed that is not there
 */
export async function* decompressStream(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { head, whole } = await peek(source, MAGIC_BYTES);
  const program = PROGRAMS.find(({ magic }) => startsWith(head, magic));
  if (program !== undefined) {
    yield* filterThrough(program.name, program.args, whole);
    return;
  }
  const compression = detectCompression(head);
  if (compression === "none") yield* whole;
  else yield* decompress(Readable.from(copied(whole), { objectMode: false }), compression);
}

/**
 * How much of the tar becomes one member of a gzip file: large enough that starting over costs nothing, small beside a worker's
 * memory.
 */
const GZIP_MEMBER_BYTES = 1024 * 1024;
/** libdeflate's level 5 makes smaller files than level 6 of zlib and of Go, which is Docker's, in half of their time. */
const GZIP_LEVEL = 5;
const ZSTD_LEVEL = 3;

/**
 * Compresses `source`. The same source gives the same bytes. gzip: members one after another, which RFC 1952 (section 2.2) and
 * every reader take for one file; compressed on this thread.
 */
export function compressStream(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  level?: number,
): AsyncIterable<Uint8Array> {
  if (compression === "none") return source;
  return compression === "gzip" ? gzipMembers(source, level) : zstdFrame(source, level);
}

async function* gzipMembers(source: AsyncIterable<Uint8Array>, level = GZIP_LEVEL): AsyncGenerator<Uint8Array> {
  const member = new Uint8Array(GZIP_MEMBER_BYTES);
  let length = 0;
  let isEmpty = true;
  const compressed = (): Uint8Array => {
    isEmpty = false;
    return Bun.gzipSync(member.subarray(0, length), { library: "libdeflate", level: level as 0 });
  };
  for await (const chunk of source)
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + GZIP_MEMBER_BYTES - length);
      member.set(part, length);
      length += part.length;
      at += part.length;
      if (length < GZIP_MEMBER_BYTES) continue;
      yield compressed();
      length = 0;
    }
  if (length > 0 || isEmpty) yield compressed();
}

async function* zstdFrame(source: AsyncIterable<Uint8Array>, level = ZSTD_LEVEL): AsyncGenerator<Uint8Array> {
  const compressor = createZstdCompress({
    chunkSize: CHUNK_BYTES,
    params: { [zlib.ZSTD_c_compressionLevel]: level },
  });
  const readable = Readable.from(copied(source), { objectMode: false });
  readable.on("error", (error: Error) => compressor.destroy(error));
  try {
    for await (const chunk of readable.pipe(compressor)) yield chunk as Uint8Array;
  } finally {
    readable.destroy();
    compressor.destroy();
  }
}
