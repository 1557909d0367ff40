/** Turns options of mount(8) into what the old call, mount(2), takes: bits of its flags, and the file system's own options. */

export const MS_BIND = 0x1000;

/** For each name, its bits, and whether it clears them. Source: mount(2), linux/mount.h; the same names as Docker knows. */
const FLAGS: ReadonlyMap<string, readonly [bits: number, clear?: true]> = new Map([
  ["ro", [0x1]],
  ["rw", [0x1, true]],
  ["nosuid", [0x2]],
  ["suid", [0x2, true]],
  ["nodev", [0x4]],
  ["dev", [0x4, true]],
  ["noexec", [0x8]],
  ["exec", [0x8, true]],
  ["sync", [0x10]],
  ["async", [0x10, true]],
  ["mand", [0x40]],
  ["nomand", [0x40, true]],
  ["dirsync", [0x80]],
  ["noatime", [0x400]],
  ["atime", [0x400, true]],
  ["nodiratime", [0x800]],
  ["diratime", [0x800, true]],
  ["relatime", [0x200000]],
  ["norelatime", [0x200000, true]],
  ["strictatime", [0x1000000]],
  ["nostrictatime", [0x1000000, true]],
]);

/** Options for mount(8) alone, or about propagation: the mount is in a namespace of its own. */
const IGNORED = /^(defaults|_netdev|nofail|(no)?auto|r?(private|shared|slave|unbindable))$/;

/** Parses options. `data` is what the file system gets. */
export function parseMountFlags(options: readonly string[]): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const [bits, clear] = FLAGS.get(option) ?? [];
    if (bits !== undefined) flags = clear ? flags & ~bits : flags | bits;
    else if (!IGNORED.test(option)) data.push(option);
  }
  return { flags, data: data.join(",") };
}
