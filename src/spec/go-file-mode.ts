/** Go's os.FileMode, the mode of files in BuildKit's protocols. Source: pkg.go.dev/io/fs#FileMode. */

type FileType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

/** The bits above 2^31 are why these are numbers for which JavaScript's bit operators do not do. */
const TYPES: readonly [type: FileType, bits: number][] = [
  ["directory", 2 ** 31],
  ["symlink", 2 ** 27],
  ["fifo", 2 ** 25],
  ["char", 2 ** 26 + 2 ** 21],
  ["block", 2 ** 26],
];
const SOCKET = 2 ** 24;
/** From the kernel's bits to Go's. */
const SPECIAL: readonly [kernel: number, go: number][] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

/** The type and the permission bits; the type is undefined for a socket. */
export function decodeGoMode(mode: number): { type: Exclude<FileType, "hardlink"> | undefined; permissions: number } {
  const has = (bits: number) => [31, 27, 26, 25, 24, 21].every((bit) => !isSet(bits, bit) || isSet(mode, bit));
  const special = SPECIAL.reduce((sum, [kernel, go]) => sum + (isSet(mode, Math.log2(go)) ? kernel : 0), 0);
  const type = has(SOCKET) ? undefined : (TYPES.find(([, bits]) => has(bits))?.[0] ?? "file");
  return { type: type as Exclude<FileType, "hardlink"> | undefined, permissions: (mode % 0o1000) + special };
}

export function encodeGoMode(type: FileType, permissions: number): number {
  const special = SPECIAL.reduce((sum, [kernel, go]) => sum + ((permissions & kernel) !== 0 ? go : 0), 0);
  return (permissions & 0o777) + special + (TYPES.find(([each]) => each === type)?.[1] ?? 0);
}

function isSet(mode: number, bit: number): boolean {
  return Math.floor(mode / 2 ** bit) % 2 === 1;
}
