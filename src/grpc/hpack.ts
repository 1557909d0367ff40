/** Headers in HTTP/2's form, HPACK. What is sent is neither compressed nor remembered; peers may do both. Source: RFC 7541. */
import { LighterError } from "../base/errors.ts";
import { GRPC_HEADERS_MAX_BYTES } from "../base/limits.ts";

/** A header's name, in lower case, and its value. */
export type Header = readonly [name: string, value: string];

/** RFC 7541, appendix A: the headers with the numbers 1 to 61. */
const STATIC: readonly Header[] = [
  ...[":authority", ":method GET", ":method POST", ":path /", ":path /index.html", ":scheme http", ":scheme https"],
  ...["200", "204", "206", "304", "400", "404", "500"].map((status) => `:status ${status}`),
  ...["accept-charset", "accept-encoding gzip, deflate", "accept-language", "accept-ranges", "accept"],
  ...["access-control-allow-origin", "age", "allow", "authorization", "cache-control", "content-disposition"],
  ...["content-encoding", "content-language", "content-length", "content-location", "content-range", "content-type"],
  ...["cookie", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match"],
  ...["if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate"],
  ...["proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie"],
  ...["strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate"],
].map((row) => {
  const [name = "", ...value] = row.split(" ");
  return [name, value.join(" ")];
});

/** The room that a peer's table has unless it is told otherwise, and what an entry takes beside its texts. */
const TABLE_MAX_BYTES = 4096;
const ENTRY_BYTES = 32;

export function encodeHeaders(headers: Iterable<Header>): Buffer {
  const parts: Buffer[] = [];
  for (const texts of headers) {
    parts.push(Buffer.from([0])); // a literal that is not remembered, with its name
    for (const text of texts) parts.push(lengthPrefix(Buffer.byteLength(text)), Buffer.from(text));
  }
  return Buffer.concat(parts);
}

/** An integer with a prefix of seven bits. */
function lengthPrefix(length: number): Buffer {
  if (length < 0x7f) return Buffer.from([length]);
  const bytes = [0x7f];
  let left = length - 0x7f;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** Decodes the header blocks of one direction of a connection, in their order: each may refer to those before. */
export class HeaderDecoder {
  /** What the peer has had remembered, the newest first. */
  readonly #table: Header[] = [];
  #tableBytes = 0;
  #maxBytes = TABLE_MAX_BYTES;

  /** @throws LighterError "invalid" for what is no header block, or is too large */
  decode(block: Uint8Array): Header[] {
    const reader = new BlockReader(block);
    const headers: Header[] = [];
    let byteCount = 0;
    while (!reader.isAtEnd) {
      const header = this.#next(reader);
      if (header === undefined) continue;
      byteCount += sizeOf(header);
      if (byteCount > GRPC_HEADERS_MAX_BYTES) throw malformed("they are too large");
      headers.push(header);
    }
    return headers;
  }

  /** Returns nothing for a change of the table's size. */
  #next(reader: BlockReader): Header | undefined {
    const first = reader.peek();
    if (first >= 0x80) return this.#at(reader.integer(7));
    if (first >= 0x40) return this.#remember(this.#literal(reader, 6));
    if (first < 0x20) return this.#literal(reader, 4);
    this.#maxBytes = reader.integer(5);
    if (this.#maxBytes > TABLE_MAX_BYTES) throw malformed("their table is too large");
    this.#shrink();
    return undefined;
  }

  #literal(reader: BlockReader, prefixBits: number): Header {
    const index = reader.integer(prefixBits);
    const name = index === 0 ? reader.text() : this.#at(index)[0];
    return [name, reader.text()];
  }

  #at(index: number): Header {
    const header = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1];
    if (header === undefined) throw malformed(`there is none of the number ${index}`);
    return header;
  }

  #remember(header: Header): Header {
    this.#table.unshift(header);
    this.#tableBytes += sizeOf(header);
    this.#shrink();
    return header;
  }

  #shrink(): void {
    while (this.#tableBytes > this.#maxBytes) this.#tableBytes -= sizeOf(this.#table.pop()!);
  }
}

function sizeOf([name, value]: Header): number {
  return name.length + value.length + ENTRY_BYTES;
}

function malformed(why: string): LighterError {
  return new LighterError("invalid", `malformed headers: ${why}`);
}

class BlockReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  peek(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw malformed("they end too early");
    return byte;
  }

  #byte(): number {
    const byte = this.peek();
    this.#at++;
    return byte;
  }

  /** An integer that begins in the last bits of a byte. */
  integer(prefixBits: number): number {
    const max = 2 ** prefixBits - 1;
    let value = this.#byte() & max;
    if (value < max) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed("a number is too large");
  }

  text(): string {
    const isHuffman = this.peek() >= 0x80;
    const length = this.integer(7);
    if (length > this.#bytes.length - this.#at) throw malformed("they end too early");
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return isHuffman ? decodeHuffman(bytes) : Buffer.from(bytes).toString();
  }
}

/**
 * RFC 7541, appendix B: how many bits the code of each byte has, and that of the end, in base 36. The codes themselves follow: they count
 * up, the shorter ones first, those of one length in the order of their bytes.
 */
const CODE_BITS = [
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca",
  "d67777777777777777777777878djde6f56565666577666567655677777fbeds",
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn",
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu",
]
  .join("")
  .split("")
  .map((digit) => Number.parseInt(digit, 36));
const MAX_CODE_BITS = 30;
const END_BYTE = 256;

/** For each length: its first code, and the bytes whose codes have it. */
const CODES = Array.from({ length: MAX_CODE_BITS + 1 }, (_, bits) => ({
  first: 0,
  bytes: CODE_BITS.flatMap((each, byte) => (each === bits ? [byte] : [])),
}));
for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
  const { first, bytes } = CODES[bits - 1]!;
  CODES[bits]!.first = (first + bytes.length) * 2;
}

function decodeHuffman(encoded: Uint8Array): string {
  const text: number[] = [];
  let [code, bits] = [0, 0];
  for (const byte of encoded)
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      bits++;
      const row = CODES[bits];
      if (row === undefined) throw malformed("a text has no such code");
      const found = row.bytes[code - row.first];
      if (found === undefined) continue;
      if (found === END_BYTE) throw malformed("a text has its end in it");
      text.push(found);
      [code, bits] = [0, 0];
    }
  if (bits > 7 || code !== 2 ** bits - 1) throw malformed("a text ends in the middle of a code");
  return Buffer.from(text).toString();
}
