/** Copies bytes from file to file inside the kernel, which shares them where the file system can. */
import { tryCall } from "./door.ts";

/**
 * Calls copy_file_range(2) at the files' own positions. Returns how many bytes were copied, 0 at the end, or a negative errno: not
 * all file systems, and not all pairs of them, can.
 */
export function tryCopyRange(fromFd: number, toFd: number, byteCount: number): number {
  return tryCall("copy_file_range", fromFd, null, toFd, null, byteCount, 0);
}

const positions = new BigInt64Array(2);

/** The same at given positions, which the files' own stay out of. */
export function tryCopyRangeAt(fromFd: number, from: number, toFd: number, to: number, byteCount: number): number {
  positions.set([BigInt(from), BigInt(to)]);
  return tryCall("copy_file_range", fromFd, positions, toFd, positions.subarray(1), byteCount, 0);
}
