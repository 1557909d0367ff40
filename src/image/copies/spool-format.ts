/**
 * A spooled context on disk: a directory with
 *
 *   small     the bytes of small files, one after the other
 *   0, 1 ...  a large file each, with its attributes
 *   seen      only while it is made from an older one of the same directory: a bit for each of that one's records, whether it stays
 *   index     a record for each entry, the root first, those of a directory side by side and sorted; then their names
 *
 *   record    0 mode u32, 0: it was removed   4 inode u32   8 names of the inode u32   12 nanoseconds u32   16 seconds f64
 *             24 size f64   32 first u32   36 count u32   40 length of the name u32   44 of the rest u32   48 where they are f64
 *             56 start f64   64 sha256
 *
 * `first` and `count` are the entries of a directory; of a file, `first` is the number of its large file or NONE, and `start` is where
 * it begins in `small`. The rest is JSON: what few entries have.
 */
export const INDEX_NAME = "index";
export const SMALL_NAME = "small";
export const SEEN_NAME = "seen";
/** The index begins with the number of records, in 8 bytes. */
export const INDEX_HEAD_BYTES = 8;
export const RECORD_BYTES = 96;
export const SHA256_BYTES = 32;
export const NONE = 0xffff_ffff;

export const AT = {
  ...{ mode: 0, inode: 4, links: 8, nanoseconds: 12, seconds: 16, size: 24, first: 32, count: 36 },
  ...{ nameLength: 40, restLength: 44, text: 48, start: 56, digest: 64 },
} as const;

/** What few entries have. */
export interface Rest {
  /** A symlink's, in bytes. */
  linkPath?: string;
  rdev?: number;
  /** Names, and values in base64. */
  xattrs?: readonly (readonly [name: string, value: string])[];
  /** The stretches of a small file with holes: where each is in the file, in `small`, and its length. */
  stretches?: readonly number[];
}
