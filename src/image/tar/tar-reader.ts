/**
 * A streaming reader of tar archives: push bytes in, entries come out. Bounded memory, no copies of file data.
 *
 *   byte 0    100     108  116  124   136    148       156       157       257    265 297 329       337       345
 *   [ name ][ mode ][ uid][ gid][ size][ mtime][ chksum][ typeflag][ linkname][ magic][..][..][ devmajor][ devminor][ prefix ]
 *
 * Understands V7, ustar, PAX, star and GNU (long names, base-256 numbers, sparse files of the old form and of the PAX
 * forms 0.0, 0.1, 1.0). Sources: POSIX.1 pax(1) "ustar Interchange Format" and "pax Extended Header"; GNU tar manual,
 * "Storing Sparse Files" and tar.h.
 */
import { LighterError } from "../../base/errors.ts";
import {
  TAR_PAX_MAX_RECORDS,
  TAR_SPARSE_MAX_REGIONS,
  TAR_SPECIAL_MAX_BYTES,
  TAR_XATTRS_MAX,
} from "../../base/limits.ts";
import { type BytePath, bytePathOf, showPath } from "../../linux/sys/fs.ts";
import type { FileRange } from "../../spec/file-range.ts";

export type TarEntryType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

export interface TarEntry {
  type: TarEntryType;
  /** The path as it is in the archive: may be absolute, hold "..", end in "/". Never empty, never holds a NUL. */
  path: BytePath;
  /** The target of a symlink, or the archive path of a hard link; else "". */
  linkPath: BytePath;
  /** The permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** The bytes of the file once written; 0 for everything but files. */
  size: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  deviceMajor: number;
  deviceMinor: number;
  /** Extended attributes; names are bytes (one char each). */
  xattrs: { name: string; value: Uint8Array }[];
}

export interface TarSink {
  entry(entry: TarEntry): void;
  /**
   * Called with file bytes at `offset`, in ascending order. What no call covers is a hole. `bytes` is valid during the call only.
   */
  data(bytes: Uint8Array, offset: number): void;
  /** Called in place of `data` with bytes that are in an open file. */
  dataIn?(range: FileRange, offset: number): void;
  /** Called after the last `data` of every entry, of whatever type. */
  endEntry(): void;
}

export const TAR_BLOCK_BYTES = 512;
const BLOCK = TAR_BLOCK_BYTES;

/** A stretch of a sparse file that has data. */
interface Region {
  offset: number;
  length: number;
}

function corrupt(what: string): LighterError {
  return new LighterError("invalid", `tar archive: ${what}`);
}

function isZeroBlock(bytes: Uint8Array, at: number): boolean {
  for (let i = at; i < at + BLOCK; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Parses a number field: octal text, or GNU's base-256 (first bit set, big-endian two's complement). An empty field is 0. */
function parseNumber(bytes: Uint8Array, at: number, length: number, field: string): number {
  const first = bytes[at]!;
  if (first & 0x80) {
    let value = first & 0x40 ? (first & 0x7f) - 0x80 : first & 0x7f;
    for (let i = at + 1; i < at + length; i++) {
      value = value * 256 + bytes[i]!;
      if (!Number.isSafeInteger(value)) throw corrupt(`${field} is out of range`);
    }
    return value;
  }
  let i = at;
  const end = at + length;
  while (i < end && (bytes[i] === 0x20 || bytes[i] === 0)) i++;
  let value = 0;
  for (; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit >= 0 && digit <= 7) value = value * 8 + digit;
    else if (bytes[i] === 0 || bytes[i] === 0x20) break;
    else throw corrupt(`${field} is not a number`);
  }
  return value;
}

function parseString(bytes: Uint8Array, at: number, length: number): BytePath {
  let end = at;
  while (end < at + length && bytes[end] !== 0) end++;
  return bytePathOf(bytes.subarray(at, end));
}

/** Parses a non-negative decimal of a PAX record or sparse map. */
function parseDecimal(text: string, field: string): number {
  if (!/^[0-9]{1,16}$/.test(text)) throw corrupt(`${field} "${showPath(text.slice(0, 40))}" is not a number`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw corrupt(`${field} is out of range`);
  return value;
}

/** Checks the sum of the header's bytes, with the checksum field as spaces; some old writers summed signed chars. */
function verifyChecksum(bytes: Uint8Array, at: number): void {
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : bytes[at + i]!;
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stored = parseNumber(bytes, at + 148, 8, "header checksum");
  if (stored !== unsigned && stored !== signed) throw corrupt("bad header checksum");
}

/** Whether a file with these first bytes may be a tar: a header with its checksum, or the end of an empty one. */
export function looksLikeTar(head: Uint8Array): boolean {
  return (head.length >= BLOCK && isZeroBlock(head, 0)) || beginsWithEntry(head);
}

/** Whether a file with these first bytes is a tar with at least one entry: it begins with a header with its checksum. */
export function beginsWithEntry(head: Uint8Array): boolean {
  if (head.length < BLOCK) return false;
  try {
    verifyChecksum(head, 0);
    return true;
  } catch {
    return false;
  }
}

/** The PAX records of one header: "LENGTH KEY=VALUE\n", where LENGTH counts all of it. Keys repeat only in sparse 0.0. */
interface PaxRecords {
  values: Map<string, BytePath>;
  xattrs: Map<string, Uint8Array>;
  sparseNumbers: number[];
}

const XATTR_PREFIX = "SCHILY.xattr.";

function parsePax(bytes: Uint8Array): PaxRecords {
  const records: PaxRecords = { values: new Map(), xattrs: new Map(), sparseNumbers: [] };
  let at = 0;
  let recordCount = 0;
  while (at < bytes.length) {
    if (++recordCount > TAR_PAX_MAX_RECORDS) throw corrupt(`a PAX header has more than ${TAR_PAX_MAX_RECORDS} records`);
    const space = bytes.indexOf(0x20, at);
    if (space < 0 || space - at > 10) throw corrupt("malformed PAX record");
    const length = parseDecimal(bytePathOf(bytes.subarray(at, space)), "PAX record length");
    const end = at + length;
    if (length < space - at + 3 || end > bytes.length || bytes[end - 1] !== 0x0a) throw corrupt("malformed PAX record");
    const equals = bytes.indexOf(0x3d, space + 1);
    if (equals <= space + 1 || equals >= end) throw corrupt("malformed PAX record");
    const key = bytePathOf(bytes.subarray(space + 1, equals));
    const value = bytes.subarray(equals + 1, end - 1);
    at = end;
    if (key.startsWith(XATTR_PREFIX)) {
      const name = key.slice(XATTR_PREFIX.length);
      if (name === "" || name.includes("\0")) throw corrupt("malformed xattr name");
      records.xattrs.set(name, new Uint8Array(value));
      if (records.xattrs.size > TAR_XATTRS_MAX) throw corrupt(`an entry has more than ${TAR_XATTRS_MAX} xattrs`);
    } else if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      const isOffset = records.sparseNumbers.length % 2 === 0;
      if ((key === "GNU.sparse.offset") !== isOffset) throw corrupt("malformed sparse map");
      records.sparseNumbers.push(parseDecimal(bytePathOf(value), key));
    } else if (value.length === 0) {
      records.values.delete(key); // an empty value removes the record
    } else {
      records.values.set(key, bytePathOf(value));
    }
  }
  return records;
}

/** Parses "SECONDS[.FRACTION]", which may be negative. */
function parsePaxTime(text: string): { seconds: number; nanoseconds: number } {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) throw corrupt("malformed PAX time");
  let seconds = Number(match[2]);
  let nanoseconds = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  if (match[1] === "-") {
    seconds = -seconds;
    if (nanoseconds > 0) {
      seconds -= 1;
      nanoseconds = 1e9 - nanoseconds;
    }
  }
  return { seconds, nanoseconds };
}

const MAX_ID = 0xffff_fffe; // (uid_t)-1 means "no change" to chown(2)

const TYPES: Readonly<Record<string, TarEntryType>> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  S: "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

export class TarReader {
  readonly #sink: TarSink;
  /** A header or map block that is split over two chunks. */
  readonly #partial = new Uint8Array(BLOCK);
  #partialLength = 0;
  /** What the next 512 bytes are, when neither data nor padding is due. */
  #expect: "header" | "oldSparse" | "sparseMap" | "end" = "header";
  #zeroBlocks = 0;
  #dataLeft = 0;
  #paddingLeft = 0;
  #special: { type: string; bytes: Uint8Array; length: number } | undefined;
  #longName: BytePath | undefined;
  #longLink: BytePath | undefined;
  #pax: PaxRecords | undefined;
  /** The entry whose sparse map is being read. */
  #pending: TarEntry | undefined;
  #sparseNumbers: number[] = [];
  #sparseText = "";
  #sparseCount = -1;
  #regions: Region[] | undefined;
  #regionIndex = 0;
  #regionDone = 0;
  #offset = 0;
  #inEntry = false;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** Takes bytes. @throws LighterError ("invalid") for a malformed archive; whatever the sink throws. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#dataLeft > 0) {
        const length = Math.min(this.#dataLeft, chunk.length - at);
        this.#takeData(chunk.subarray(at, at + length));
        at += length;
      } else if (this.#paddingLeft > 0) {
        const length = Math.min(this.#paddingLeft, chunk.length - at);
        this.#paddingLeft -= length;
        at += length;
      } else if (this.#expect === "end") {
        return; // what follows the two zero blocks is padding to the writer's record size
      } else if (this.#partialLength === 0 && chunk.length - at >= BLOCK) {
        this.#takeBlock(chunk, at);
        at += BLOCK;
      } else {
        const length = Math.min(BLOCK - this.#partialLength, chunk.length - at);
        this.#partial.set(chunk.subarray(at, at + length), this.#partialLength);
        this.#partialLength += length;
        at += length;
        if (this.#partialLength === BLOCK) {
          this.#partialLength = 0;
          this.#takeBlock(this.#partial, 0);
        }
      }
    }
  }

  /** Takes bytes that are in an open file: only content of regular files may be. @throws as `push` */
  pushFile(range: FileRange): void {
    const { length } = range;
    const isContent = this.#inEntry && this.#regions === undefined && length > 0 && length <= this.#dataLeft;
    if (!isContent || this.#sink.dataIn === undefined) throw corrupt("a file is where its content cannot be");
    this.#sink.dataIn(range, this.#offset);
    this.#dataLeft -= length;
    this.#offset += length;
    if (this.#dataLeft === 0) this.#endEntry();
  }

  /**
   * Ends the archive. It may lack its closing zero blocks, as with every other reader, and the padding of its last entry (Docker's
   * command line writes such contexts), but not end inside an entry.
   * @throws LighterError ("invalid").
   */
  end(): void {
    const midEntry = this.#dataLeft > 0 || this.#partialLength > 0 || this.#inEntry;
    const midHeaders = this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
    if (midEntry || midHeaders || this.#pending !== undefined) throw corrupt("ends in the middle of an entry");
  }

  #takeBlock(bytes: Uint8Array, at: number): void {
    if (this.#expect === "oldSparse") this.#takeOldSparse(bytes, at);
    else if (this.#expect === "sparseMap") this.#takeSparseMap(bytes, at);
    else this.#takeHeader(bytes, at);
  }

  #takeHeader(bytes: Uint8Array, at: number): void {
    if (bytes[at] === 0 && isZeroBlock(bytes, at)) {
      if (++this.#zeroBlocks === 2) this.#expect = "end";
      return;
    }
    if (this.#zeroBlocks > 0) throw corrupt("data after a zero block");
    verifyChecksum(bytes, at);
    const type = String.fromCharCode(bytes[at + 156]!);
    const size = parseNumber(bytes, at + 124, 12, "size");
    if (size < 0 || !Number.isSafeInteger(size)) throw corrupt("size is out of range");
    if (type === "x" || type === "X" || type === "g" || type === "L" || type === "K") this.#startSpecial(type, size);
    else this.#startEntry(bytes, at, type, size);
  }

  #setData(size: number): void {
    this.#dataLeft = size;
    this.#paddingLeft = (BLOCK - (size % BLOCK)) % BLOCK;
  }

  #startSpecial(type: string, size: number): void {
    if (size > TAR_SPECIAL_MAX_BYTES)
      throw corrupt(`a header of type "${type}" has ${size} bytes, above the limit of ${TAR_SPECIAL_MAX_BYTES}`);
    this.#special = { type, bytes: new Uint8Array(size), length: 0 };
    this.#setData(size);
    if (size === 0) this.#endSpecial();
  }

  #endSpecial(): void {
    const { type, bytes } = this.#special!;
    this.#special = undefined;
    if (type === "L") this.#longName = parseString(bytes, 0, bytes.length);
    else if (type === "K") this.#longLink = parseString(bytes, 0, bytes.length);
    else if (type !== "g") this.#pax = parsePax(bytes);
    // Global headers ("g") hold a comment in practice. Docker ignores them, so an image's meaning does not depend on them.
  }

  #startEntry(bytes: Uint8Array, at: number, flag: string, headerSize: number): void {
    const pax = this.#pax?.values ?? new Map<string, BytePath>();
    const entry = this.#parseEntry(bytes, at, flag, pax);
    const paxSize = pax.get("size");
    const dataSize = paxSize === undefined ? headerSize : parseDecimal(paxSize, "PAX size");
    const sparseNumbers = this.#pax?.sparseNumbers ?? [];
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    if (entry.type !== "file") {
      // Only files have data: some writers give hard links the size of their target.
      this.#beginEntry(entry, 0, undefined);
      return;
    }
    entry.size = dataSize;
    if (flag === "S") {
      entry.size = parseNumber(bytes, at + 483, 12, "sparse size");
      this.#startSparse(entry, dataSize);
      const more = this.#readOldSparse(bytes, at + 386, 4, at + 482);
      if (more) this.#holdDataUntilMap(dataSize, "oldSparse");
      else this.#endSparse();
    } else if (pax.has("GNU.sparse.major") || pax.has("GNU.sparse.map") || sparseNumbers.length > 0) {
      this.#startPaxSparse(entry, dataSize, pax, sparseNumbers);
    } else {
      this.#beginEntry(entry, dataSize, undefined);
    }
  }

  #parseEntry(bytes: Uint8Array, at: number, flag: string, pax: ReadonlyMap<string, BytePath>): TarEntry {
    const magic = bytePathOf(bytes.subarray(at + 257, at + 265));
    const isUstar = magic.startsWith("ustar\0");
    const isGnu = magic === "ustar  \0";
    let path = parseString(bytes, at, 100);
    if (isUstar) {
      const isStar = bytePathOf(bytes.subarray(at + 508, at + 512)) === "tar\0";
      const prefix = parseString(bytes, at + 345, isStar ? 131 : 155);
      if (prefix !== "") path = `${prefix}/${path}` as BytePath;
    }
    path = pax.get("GNU.sparse.name") ?? pax.get("path") ?? this.#longName ?? path;
    const linkPath = pax.get("linkpath") ?? this.#longLink ?? parseString(bytes, at + 157, 100);
    if (path === "" || path.includes("\0")) throw corrupt("an entry has no valid name");
    if (linkPath.includes("\0")) throw corrupt(`link target of "${showPath(path)}" holds a NUL`);
    let type = TYPES[flag];
    if (type === undefined) throw corrupt(`entry "${showPath(path)}" has the unknown type "${flag}"`);
    if (type === "file" && path.endsWith("/")) type = "directory"; // V7 has no type for directories
    const id = (key: string, offset: number): number => {
      const text = pax.get(key);
      const value = text === undefined ? parseNumber(bytes, at + offset, 8, key) : parseDecimal(text, `PAX ${key}`);
      if (value < 0 || value > MAX_ID) throw corrupt(`${key} ${value} of "${showPath(path)}" is out of range`);
      return value;
    };
    const device = (offset: number): number =>
      (isUstar || isGnu) && (type === "char" || type === "block") ? parseNumber(bytes, at + offset, 8, "device") : 0;
    const paxTime = pax.get("mtime");
    const mtime =
      paxTime === undefined
        ? { seconds: parseNumber(bytes, at + 136, 12, "mtime"), nanoseconds: 0 }
        : parsePaxTime(paxTime);
    return {
      type,
      path,
      linkPath: type === "symlink" || type === "hardlink" ? linkPath : ("" as BytePath),
      mode: parseNumber(bytes, at + 100, 8, "mode") & 0o7777,
      uid: id("uid", 108),
      gid: id("gid", 116),
      size: 0,
      mtimeSeconds: mtime.seconds,
      mtimeNanoseconds: mtime.nanoseconds,
      deviceMajor: device(329),
      deviceMinor: device(337),
      xattrs: [...(this.#pax?.xattrs ?? [])].map(([name, value]) => ({ name, value })),
    };
  }

  #beginEntry(entry: TarEntry, dataSize: number, regions: Region[] | undefined): void {
    this.#regions = regions;
    this.#regionIndex = 0;
    this.#regionDone = 0;
    this.#offset = 0;
    this.#inEntry = true;
    this.#sink.entry(entry);
    this.#setData(dataSize);
    if (dataSize === 0) this.#endEntry();
  }

  #endEntry(): void {
    this.#inEntry = false;
    this.#sink.endEntry();
  }

  #takeData(bytes: Uint8Array): void {
    this.#dataLeft -= bytes.length;
    if (this.#special !== undefined) {
      this.#special.bytes.set(bytes, this.#special.length);
      this.#special.length += bytes.length;
      if (this.#dataLeft === 0) this.#endSpecial();
      return;
    }
    if (this.#regions === undefined) {
      this.#sink.data(bytes, this.#offset);
      this.#offset += bytes.length;
    } else {
      this.#takeSparseData(bytes, this.#regions);
    }
    if (this.#dataLeft === 0) this.#endEntry();
  }

  #takeSparseData(bytes: Uint8Array, regions: Region[]): void {
    let at = 0;
    while (at < bytes.length) {
      const region = regions[this.#regionIndex]!; // the regions' lengths add up to the data: checked in #endSparse
      const length = Math.min(region.length - this.#regionDone, bytes.length - at);
      if (length > 0) this.#sink.data(bytes.subarray(at, at + length), region.offset + this.#regionDone);
      at += length;
      this.#regionDone += length;
      if (this.#regionDone === region.length) {
        this.#regionIndex++;
        this.#regionDone = 0;
      }
    }
  }

  // --- Sparse maps. The data that follows is held back (`#sparseDataSize`) until the map is complete. ---

  #sparseDataSize = 0;

  #startSparse(entry: TarEntry, dataSize: number): void {
    this.#pending = entry;
    this.#sparseNumbers = [];
    this.#sparseDataSize = dataSize;
  }

  #holdDataUntilMap(dataSize: number, expect: "oldSparse" | "sparseMap"): void {
    this.#sparseDataSize = dataSize;
    this.#dataLeft = 0;
    this.#paddingLeft = 0;
    this.#expect = expect;
  }

  /** Reads up to `count` pairs of 12-byte numbers. Returns whether another block of them follows. */
  #readOldSparse(bytes: Uint8Array, at: number, count: number, moreAt: number): boolean {
    for (let i = 0; i < count; i++) {
      const pair = at + i * 24;
      if (bytes[pair] === 0 && bytes[pair + 12] === 0) break;
      this.#addSparseNumber(parseNumber(bytes, pair, 12, "sparse offset"));
      this.#addSparseNumber(parseNumber(bytes, pair + 12, 12, "sparse length"));
    }
    return bytes[moreAt] !== 0;
  }

  #addSparseNumber(value: number): void {
    if (this.#sparseNumbers.length >= 2 * TAR_SPARSE_MAX_REGIONS)
      throw corrupt(`a sparse file has more than ${TAR_SPARSE_MAX_REGIONS} regions`);
    this.#sparseNumbers.push(value);
  }

  #takeOldSparse(bytes: Uint8Array, at: number): void {
    const before = this.#sparseNumbers.length;
    const more = this.#readOldSparse(bytes, at, 21, at + 504);
    // Without this check an endless run of empty map blocks would cost nothing and never end.
    if (more && this.#sparseNumbers.length === before) throw corrupt("empty sparse map block");
    if (!more) this.#endSparse();
  }

  #startPaxSparse(
    entry: TarEntry,
    dataSize: number,
    pax: ReadonlyMap<string, BytePath>,
    sparseNumbers: readonly number[],
  ): void {
    const major = pax.get("GNU.sparse.major");
    const realSize = pax.get("GNU.sparse.realsize") ?? pax.get("GNU.sparse.size");
    if (realSize === undefined) throw corrupt(`sparse file "${showPath(entry.path)}" has no size`);
    entry.size = parseDecimal(realSize, "sparse size");
    this.#startSparse(entry, dataSize);
    if (major === "1" && pax.get("GNU.sparse.minor") === "0") {
      this.#sparseText = "";
      this.#sparseCount = -1;
      this.#holdDataUntilMap(dataSize, "sparseMap");
      return;
    }
    if (major !== undefined && major !== "0") throw corrupt(`sparse format ${showPath(major)} is unknown`);
    const map = pax.get("GNU.sparse.map");
    const numbers = map === undefined ? sparseNumbers : map.split(",").map((n) => parseDecimal(n, "sparse map"));
    for (const number of numbers) this.#addSparseNumber(number);
    this.#endSparse();
  }

  /** Reads the map of format 1.0: the file's data begins with it, in decimal lines, padded to whole blocks. */
  #takeSparseMap(bytes: Uint8Array, at: number): void {
    if (this.#sparseDataSize < BLOCK) throw corrupt("sparse map is cut short");
    this.#sparseDataSize -= BLOCK;
    let lineStart = at;
    for (let i = at; i < at + BLOCK; i++) {
      if (bytes[i] !== 0x0a) continue;
      const line = this.#sparseText + bytePathOf(bytes.subarray(lineStart, i));
      this.#sparseText = "";
      lineStart = i + 1;
      const value = parseDecimal(line, "sparse map");
      if (this.#sparseCount < 0) {
        if (value > TAR_SPARSE_MAX_REGIONS)
          throw corrupt(`a sparse file has more than ${TAR_SPARSE_MAX_REGIONS} regions`);
        this.#sparseCount = value;
      } else {
        this.#addSparseNumber(value);
      }
      if (this.#sparseNumbers.length === 2 * this.#sparseCount) {
        this.#endSparse();
        return;
      }
    }
    this.#sparseText += bytePathOf(bytes.subarray(lineStart, at + BLOCK));
    if (this.#sparseText.length > 32) throw corrupt("malformed sparse map");
  }

  #endSparse(): void {
    const entry = this.#pending!;
    this.#pending = undefined;
    this.#expect = "header";
    const numbers = this.#sparseNumbers;
    const name = showPath(entry.path);
    if (numbers.length % 2 !== 0) throw corrupt(`sparse map of "${name}" is incomplete`);
    const regions: Region[] = [];
    let end = 0;
    let total = 0;
    for (let i = 0; i < numbers.length; i += 2) {
      const offset = numbers[i]!;
      const length = numbers[i + 1]!;
      if (offset < end || length < 0 || offset + length > entry.size)
        throw corrupt(`sparse map of "${name}" overlaps or leaves the file`);
      end = offset + length;
      total += length;
      regions.push({ offset, length });
    }
    if (total !== this.#sparseDataSize) throw corrupt(`sparse map of "${name}" does not add up to its data`);
    this.#beginEntry(entry, total, regions);
  }
}
