/** Tar archives of one file each, as the archive API takes and gives them. Source: pax(1), "ustar Interchange Format". */

const TAR_BLOCK = 512;
/** Where a header's fields are: offset and length. */
const NAME = [0, 100] as const;
const SIZE = [124, 12] as const;
const CHECKSUM = [148, 8] as const;
const KIND_AT = 156;
const REGULAR = new Set(["0", "\0", "7"]);
/** Headers that say more about the next one. */
const EXTENSIONS = new Set(["x", "g", "L", "K"]);

/** The content of an archive's first file. @throws Error if it is none, or the archive ends before it */
export function fileInTar(tar: Uint8Array): Uint8Array {
  for (let at = 0; at + TAR_BLOCK <= tar.length; ) {
    const header = tar.subarray(at, at + TAR_BLOCK);
    const kind = String.fromCharCode(header[KIND_AT]!);
    const size = readSize(header);
    const begin = at + TAR_BLOCK;
    if (size > tar.length - begin) break;
    if (REGULAR.has(kind)) return tar.subarray(begin, begin + size);
    if (!EXTENSIONS.has(kind)) throw new Error("it is no file");
    at = begin + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
  throw new Error("it has not come as a whole");
}

/** Octal digits, or a number in base 256 after a set bit. */
function readSize(header: Uint8Array): number {
  const field = header.subarray(SIZE[0], SIZE[0] + SIZE[1]);
  if ((field[0]! & 0x80) !== 0) return field.slice(4).reduce((sum, byte) => sum * 256 + byte, 0);
  return Number.parseInt(String.fromCharCode(...field), 8) || 0;
}

/** An archive of one file, which anybody may read and its owner may write. @throws Error for a name that is too long */
export function tarOfFile(name: string, content: Blob): Blob {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > NAME[1]) throw new Error("names of files that are sent have 100 bytes at most");
  const header = new Uint8Array(TAR_BLOCK);
  const write = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
  header.set(bytes, NAME[0]);
  write(100, "0000644\0");
  write(108, "0000000\0");
  write(116, "0000000\0");
  write(SIZE[0], `${content.size.toString(8).padStart(11, "0")}\0`);
  write(
    136,
    `${Math.floor(Date.now() / 1000)
      .toString(8)
      .padStart(11, "0")}\0`,
  );
  write(CHECKSUM[0], " ".repeat(CHECKSUM[1])); // the sum is made with spaces in its place
  write(KIND_AT, "0");
  write(257, "ustar\u000000");
  const sum = header.reduce((total, byte) => total + byte, 0);
  write(CHECKSUM[0], `${sum.toString(8).padStart(6, "0")}\0 `);
  const padding = (TAR_BLOCK - (content.size % TAR_BLOCK)) % TAR_BLOCK;
  return new Blob([header, content, new Uint8Array(padding + 2 * TAR_BLOCK)], { type: "application/x-tar" });
}
