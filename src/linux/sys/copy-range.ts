/** Copies bytes from file to file inside the kernel, which shares them where the file system can. */
import { lastErrnoNumber } from "./libc.ts";
import { libcSymbols } from "./symbols.ts";

const libc = libcSymbols({
  copy_file_range: { args: ["i32", "ptr", "i32", "ptr", "u64", "u32"], returns: "i64" },
});

/**
 * Calls copy_file_range(2) at the files' own positions. Returns how many bytes were copied, 0 at the end, or a negative errno: not
 * all file systems, and not all pairs of them, can.
 */
export function tryCopyRange(fromFd: number, toFd: number, byteCount: number): number {
  const count = Number(libc.copy_file_range(fromFd, null, toFd, null, byteCount, 0));
  return count < 0 ? -lastErrnoNumber() : count;
}

const positions = new BigInt64Array(2);

/** The same at given positions, which the files' own stay out of. */
export function tryCopyRangeAt(fromFd: number, from: number, toFd: number, to: number, byteCount: number): number {
  positions.set([BigInt(from), BigInt(to)]);
  const count = Number(libc.copy_file_range(fromFd, positions, toFd, positions.subarray(1), byteCount, 0));
  return count < 0 ? -lastErrnoNumber() : count;
}
