/**
 * Writes tar archives: POSIX ustar headers, and a PAX header before those whose values ustar cannot hold.
 *
 *   byte 0    100     108  116  124   136    148       156       157       257    265 297 329       337       345
 *   [ name ][ mode ][ uid][ gid][ size][ mtime][ chksum][ typeflag][ linkname][ magic][..][..][ devmajor][ devminor][ prefix ]
 *
 * The bytes depend on the entries alone. No GNU extensions: PAX is what Docker writes and everybody reads.
 * Source: POSIX.1 pax(1), "ustar Interchange Format" and "pax Extended Header"; star's SCHILY.xattr.
 */
import { assert } from "../../base/assert.ts";
import type { BytePath } from "../../linux/sys/fs.ts";
import type { TarEntry, TarEntryType } from "./tar-reader.ts";

const BLOCK = 512;
const NAME_BYTES = 100;
/** The largest values of ustar's fields: seven and eleven octal digits. */
const OCTAL_7_MAX = 0o7777777;
const OCTAL_11_MAX = 0o77777777777;

const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** The end of an archive: two zero blocks. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);

/** The number of zero bytes that follow a file's `size` bytes. */
export function tarPaddingBytes(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/**
 * Encodes everything of an entry that precedes its content. A directory's path ends in "/". `size` is 0 for all but files, whose
 * `size` bytes and padding must follow.
 */
export function encodeTarHeader(entry: TarEntry): Buffer {
  assert(entry.path !== "" && !entry.path.includes("\0"), "a tar entry has a path without NUL");
  assert(entry.size === 0 || entry.type === "file", `a ${entry.type} in a tar has no content`);
  const records = paxRecordsOf(entry);
  const header = encodeUstar(entry);
  if (records.length === 0) return header;
  const content = Buffer.concat(records);
  const paxHeader = encodeUstar({
    ...entry,
    path: `PaxHeaders.0/${entry.path.slice(-NAME_BYTES / 2).replaceAll("/", "_")}` as BytePath,
    linkPath: "" as BytePath,
    mode: 0,
    uid: 0,
    gid: 0,
    size: content.length,
    mtimeSeconds: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    flag: "x",
  });
  return Buffer.concat([paxHeader, content, Buffer.alloc(tarPaddingBytes(content.length)), header]);
}

/** Encodes a ustar header. What does not fit is cut or 0: a PAX record has it. */
function encodeUstar(entry: TarEntry & { flag?: string }): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number, max: number): void => {
    const fits = value >= 0 && value <= max;
    header.write((fits ? value : 0).toString(8).padStart(digits, "0"), at, "latin1");
  };
  header.write(entry.path.slice(0, NAME_BYTES), 0, "latin1");
  octal(entry.mode, 100, 7, OCTAL_7_MAX);
  octal(entry.uid, 108, 7, OCTAL_7_MAX);
  octal(entry.gid, 116, 7, OCTAL_7_MAX);
  octal(entry.size, 124, 11, OCTAL_11_MAX);
  octal(entry.mtimeSeconds, 136, 11, OCTAL_11_MAX);
  header.write(entry.flag ?? TYPE_FLAGS[entry.type], 156, "latin1");
  header.write(entry.linkPath.slice(0, NAME_BYTES), 157, "latin1");
  header.write("ustar\u000000", 257, "latin1");
  octal(entry.deviceMajor, 329, 7, OCTAL_7_MAX);
  octal(entry.deviceMinor, 337, 7, OCTAL_7_MAX);
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += header[at]!;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

function paxRecordsOf(entry: TarEntry): Buffer[] {
  const records: Buffer[] = [];
  const add = (key: string, value: string | Uint8Array): void => {
    records.push(encodePaxRecord(key, value));
  };
  if (entry.path.length > NAME_BYTES) add("path", entry.path);
  if (entry.linkPath.length > NAME_BYTES) add("linkpath", entry.linkPath);
  if (entry.uid > OCTAL_7_MAX) add("uid", `${entry.uid}`);
  if (entry.gid > OCTAL_7_MAX) add("gid", `${entry.gid}`);
  if (entry.size > OCTAL_11_MAX) add("size", `${entry.size}`);
  const { mtimeSeconds, mtimeNanoseconds } = entry;
  if (mtimeNanoseconds !== 0 || mtimeSeconds < 0 || mtimeSeconds > OCTAL_11_MAX)
    add("mtime", formatPaxTime(mtimeSeconds, mtimeNanoseconds));
  for (const { name, value } of [...entry.xattrs].sort((a, b) => (a.name < b.name ? -1 : 1)))
    add(`SCHILY.xattr.${name}`, value);
  return records;
}

/** Encodes "LENGTH KEY=VALUE\n", where LENGTH counts all of it, its own digits too. Strings have one char per byte. */
function encodePaxRecord(key: string, value: string | Uint8Array): Buffer {
  assert(!key.includes("="), `a PAX key has no "=": ${key}`);
  const bytes = typeof value === "string" ? Buffer.from(value, "latin1") : value;
  const rest = key.length + bytes.length + " =\n".length;
  let length = rest + 1;
  while (`${length}`.length + rest !== length) length = `${length}`.length + rest;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, "latin1"), bytes, Buffer.from("\n")]);
}

/** Formats decimal seconds: -2 s and 500,000,000 ns are "-1.5". */
function formatPaxTime(seconds: number, nanoseconds: number): string {
  const isNegative = seconds < 0 && nanoseconds > 0;
  const whole = isNegative ? -(seconds + 1) : seconds;
  const fraction = isNegative ? 1e9 - nanoseconds : nanoseconds;
  const digits = fraction === 0 ? "" : `.${`${fraction}`.padStart(9, "0").replace(/0+$/, "")}`;
  return `${isNegative ? "-" : ""}${whole}${digits}`;
}

/** A file or directory of a small, reproducible tar: it is root's, with a fixed time. */
interface TarFile {
  /** The path; a directory's ends in "/". */
  path: string;
  mode: number;
  content?: Uint8Array;
}

/** A tar entry for a file of root's without anything special. */
export function plainTarEntry(file: { path: string; mode: number; size: number }, mtimeSeconds: number): TarEntry {
  return {
    type: file.path.endsWith("/") ? "directory" : "file",
    path: file.path as BytePath,
    linkPath: "" as BytePath,
    mode: file.mode,
    uid: 0,
    gid: 0,
    size: file.size,
    mtimeSeconds,
    mtimeNanoseconds: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  };
}

/** Encodes a whole archive from memory. `mtimeSeconds` counts from the epoch. */
export function encodeTar(files: readonly TarFile[], mtimeSeconds: number): Buffer {
  const parts: Uint8Array[] = [];
  for (const { path, mode, content = new Uint8Array() } of files) {
    parts.push(encodeTarHeader(plainTarEntry({ path, mode, size: content.length }, mtimeSeconds)));
    parts.push(content, Buffer.alloc(tarPaddingBytes(content.length)));
  }
  return Buffer.concat([...parts, TAR_END]);
}
