/** Builds tar archives by hand, including hostile ones: every field of every header can be set to anything. */

const BLOCK = 512;

export interface RawHeader {
  name?: string | Uint8Array;
  mode?: number | string;
  uid?: number | string;
  gid?: number | string;
  size?: number | string | Uint8Array;
  mtime?: number | string;
  type?: string;
  linkName?: string;
  magic?: string;
  devMajor?: number;
  devMinor?: number;
  prefix?: string;
  /** Bytes written over the finished header, before the checksum is computed. */
  patches?: [at: number, bytes: Uint8Array][];
  checksum?: string;
  content?: Uint8Array | string;
}

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : value;
}

/** A header block with its padded content; `size` is the content's unless given. */
export function rawEntry(header: RawHeader): Buffer {
  const content = bytesOf(header.content ?? "");
  const block = Buffer.alloc(BLOCK);
  const put = (value: string | Uint8Array, at: number, length: number): void => {
    block.set(bytesOf(value).subarray(0, length), at);
  };
  const number = (value: number | string | Uint8Array, at: number, length: number): void =>
    put(typeof value === "number" ? value.toString(8).padStart(length - 1, "0") : value, at, length);
  put(header.name ?? "file", 0, 100);
  number(header.mode ?? 0o644, 100, 8);
  number(header.uid ?? 0, 108, 8);
  number(header.gid ?? 0, 116, 8);
  number(header.size ?? content.length, 124, 12);
  number(header.mtime ?? 1_600_000_000, 136, 12);
  put(header.type ?? "0", 156, 1);
  put(header.linkName ?? "", 157, 100);
  put(header.magic ?? "ustar\u000000", 257, 8);
  number(header.devMajor ?? 0, 329, 8);
  number(header.devMinor ?? 0, 337, 8);
  put(header.prefix ?? "", 345, 155);
  for (const [at, bytes] of header.patches ?? []) block.set(bytes, at);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(header.checksum ?? `${sum.toString(8).padStart(6, "0")}\0 `, 148, 8);
  return Buffer.concat([block, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

export function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), bytesOf(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}

/** A PAX header with these records, for the entry that follows. */
export function paxHeader(records: Record<string, string | Uint8Array>): Buffer {
  const content = Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
  return rawEntry({ name: "PaxHeaders/x", type: "x", content });
}

/** A whole archive, with its two zero blocks. */
export function rawTar(...entries: (RawHeader | Buffer)[]): Buffer {
  const parts = entries.map((entry) => (Buffer.isBuffer(entry) ? entry : rawEntry(entry)));
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}
