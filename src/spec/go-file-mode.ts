/** Go's os.FileMode, the mode of files in BuildKit's protocols. Source: pkg.go.dev/io/fs#FileMode. */

type FileType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

/** The first type whose bits a mode has is its own. */
const TYPES: readonly [type: FileType | "socket", bits: number][] = [
  ["socket", 2 ** 24],
  ["directory", 2 ** 31],
  ["symlink", 2 ** 27],
  ["fifo", 2 ** 25],
  ["char", 2 ** 26 + 2 ** 21],
  ["block", 2 ** 26],
];
/** From the kernel's bits to Go's. */
const SPECIAL: readonly [kernel: number, go: number][] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];
const TYPE_BITS = 2 ** 31 + 2 ** 27 + 2 ** 26 + 2 ** 25 + 2 ** 24;

/** The type and the permission bits; the type is undefined for a socket. */
export function decodeGoMode(mode: number): { type: Exclude<FileType, "hardlink"> | undefined; permissions: number } {
  let permissions = mode & 0o777;
  for (const [kernel, go] of SPECIAL) if ((mode & go) !== 0) permissions |= kernel;
  return { type: (mode & TYPE_BITS) === 0 ? "file" : typeOf(mode), permissions };
}

function typeOf(mode: number): Exclude<FileType, "hardlink"> | undefined {
  const [type] = TYPES.find(([, bits]) => (mode & bits) === (bits | 0)) ?? ["file" as const];
  return type === "socket" ? undefined : (type as Exclude<FileType, "hardlink">);
}

export function encodeGoMode(type: FileType, permissions: number): number {
  const special = SPECIAL.reduce((sum, [kernel, go]) => sum + ((permissions & kernel) !== 0 ? go : 0), 0);
  return (permissions & 0o777) + special + (TYPES.find(([each]) => each === type)?.[1] ?? 0);
}
