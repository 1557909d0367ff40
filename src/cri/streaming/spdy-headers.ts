/** Header blocks of SPDY/3.1: names and values, compressed by zlib with a dictionary. Source: SPDY protocol, draft 3.1, 2.6.10. */
import { constants, createDeflate, createInflate } from "node:zlib";
import { LighterError } from "../../base/errors.ts";
import { SPDY_HEADERS_MAX_BYTES } from "../../base/limits.ts";

const WORDS = `options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
  authorization cache-control connection content-base content-encoding content-language content-length content-location
  content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match
  if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range
  referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get
  status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin`;

const REST =
  "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative " +
  "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal " +
  "Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, " +
  "Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml," +
  "text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/** What both sides know before the first header: common words, each after its length, and other text. */
const dictionary = Buffer.concat([
  ...WORDS.split(/\s+/).flatMap((word) => [uint32(word.length), Buffer.from(word.replace("_", " "))]),
  Buffer.from(REST),
]);

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export type SpdyHeaders = ReadonlyMap<string, string>;

/** The compression of one direction of a connection: each block counts on those before it. */
export class SpdyHeaderReader {
  // An error that comes when nobody waits any more is none.
  readonly #inflate = createInflate({ dictionary, finishFlush: constants.Z_SYNC_FLUSH }).on("error", () => {});

  /** Reads one block. Blocks must be given one after the other. @throws LighterError "invalid" */
  async read(block: Uint8Array): Promise<SpdyHeaders> {
    return parseBlock(await through(this.#inflate, block));
  }

  close(): void {
    this.#inflate.close();
  }
}

export class SpdyHeaderWriter {
  readonly #deflate = createDeflate({ dictionary, flush: constants.Z_SYNC_FLUSH });

  write(headers: SpdyHeaders): Promise<Buffer> {
    const parts = [...headers].flatMap(([name, value]) =>
      [name, value].flatMap((text) => [uint32(Buffer.byteLength(text)), Buffer.from(text)]),
    );
    return through(this.#deflate, Buffer.concat([uint32(headers.size), ...parts]));
  }

  close(): void {
    this.#deflate.close();
  }
}

/** Sends a block through the compression, and resolves with all that comes out for it. */
function through(codec: ReturnType<typeof createInflate>, block: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const fail = () => settle(() => reject(new LighterError("invalid", "a block of headers cannot be read")));
    const take = (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > SPDY_HEADERS_MAX_BYTES) fail();
    };
    const settle = (act: () => void) => {
      codec.off("data", take).off("error", fail);
      act();
    };
    codec.on("data", take).on("error", fail);
    codec.write(block, () => codec.flush(constants.Z_SYNC_FLUSH, () => settle(() => resolve(Buffer.concat(chunks)))));
  });
}

function parseBlock(bytes: Buffer): SpdyHeaders {
  const headers = new Map<string, string>();
  let at = 0;
  const number = () => {
    if (at + 4 > bytes.length) throw new LighterError("invalid", "a block of headers is cut off");
    at += 4;
    return bytes.readUInt32BE(at - 4);
  };
  const text = () => {
    const length = number();
    if (length > bytes.length - at) throw new LighterError("invalid", "a block of headers is cut off");
    at += length;
    return bytes.toString("utf8", at - length, at);
  };
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase();
    headers.set(name, text());
  }
  return headers;
}
