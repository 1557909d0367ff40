import { assert } from "../base/assert.ts";

/** One file or directory of a small, reproducible tar: root's, with one fixed time. */
export interface TarFile {
  /** Relative, at most 100 bytes, ASCII; a directory's ends in "/". */
  path: string;
  mode: number;
  content?: Uint8Array;
}

const BLOCK = 512;

/** A ustar archive whose bytes depend on its arguments alone. `mtimeSeconds` since the epoch. Source: POSIX.1 pax(1). */
export function encodeTar(files: readonly TarFile[], mtimeSeconds: number): Buffer {
  const parts: Buffer[] = [];
  for (const { path, mode, content } of files) {
    assert(path.length > 0 && path.length <= 100, `tar path "${path}"`);
    const header = Buffer.alloc(BLOCK);
    const octal = (value: number, at: number, length: number): void => {
      header.write(value.toString(8).padStart(length - 1, "0"), at, "latin1");
    };
    header.write(path, 0, "latin1");
    octal(mode, 100, 8);
    octal(0, 108, 8);
    octal(0, 116, 8);
    octal(content?.length ?? 0, 124, 12);
    octal(mtimeSeconds, 136, 12);
    header.write(path.endsWith("/") ? "5" : "0", 156, "latin1");
    header.write("ustar\u000000", 257, "latin1");
    header.fill(0x20, 148, 156);
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      148,
      7,
    );
    parts.push(header);
    if (content !== undefined)
      parts.push(Buffer.from(content), Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}
