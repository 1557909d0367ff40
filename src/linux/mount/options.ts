/** Sorts the mount options of the runtime-spec by who takes them. */
import { LighterError } from "../../base/errors.ts";
import { MS_PRIVATE, MS_SLAVE } from "../sys/abi.ts";

/** Mount options of the runtime-spec, sorted by who takes them. Source: runtime-spec config.md#linux-mount-options. */
export interface MountOptions {
  /** MOUNT_ATTR_ bits to set and to clear on the mount itself. */
  set: number;
  clear: number;
  /** MOUNT_ATTR_ bits to set and to clear on the mount and all mounts below it (`rro` and the like). */
  recursiveSet: number;
  recursiveClear: number;
  bind: boolean;
  /** With `bind`, the whole tree of mounts is bound. */
  recursive: boolean;
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE. */
  propagation?: { flag: number; recursive: boolean };
  /** The options change the mount that is there already. */
  remount: boolean;
  /** What the image has at the destination is copied into the fresh tmpfs. */
  copyUp: boolean;
  /** The owners of files are mapped: of this mount only, or also of those below it. */
  idmap?: "idmap" | "ridmap";
  /** All other options, the file system's own parameters, in order. One without a value is a flag. */
  parameters: { key: string; value?: string }[];
}

export const ATTR = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  /** The bits of the access-time mode, which is an enumeration: 0 is relatime. */
  ATIME_MASK: 0x70,
  NODIRATIME: 0x80,
  NOSYMFOLLOW: 0x200000,
} as const;

/** Attributes that a bind mount takes from its options alone, not from its source, if any of them is asked for. */
const REPLACED = ATTR.RDONLY | ATTR.NOSUID | ATTR.NODEV | ATTR.NOEXEC | ATTR.NOSYMFOLLOW;
const ACCESS_TIMES = ATTR.ATIME_MASK | ATTR.NODIRATIME;

/**
 * The attributes to clear where those that a bind mount asks for replace its source's, as with runc and `mount -o bind,remount`.
 * Access times are kept unless the options name one. Source: mount(2).
 */
export function clearedByBind({ set, clear }: Pick<MountOptions, "set" | "clear">): number {
  const times = ((set | clear) & ACCESS_TIMES) === 0 ? 0 : ATTR.ATIME_MASK | (ATTR.NODIRATIME & ~set);
  return clear | (REPLACED & ~set) | times;
}

const MS_UNBINDABLE = 1 << 17;
const MS_SHARED = 1 << 20;

const PROPAGATION: ReadonlyMap<string, number> = new Map([
  ["private", MS_PRIVATE],
  ["slave", MS_SLAVE],
  ["shared", MS_SHARED],
  ["unbindable", MS_UNBINDABLE],
]);

/** name -> [bits to set, bits to clear] */
const ATTRIBUTES: ReadonlyMap<string, readonly [set: number, clear: number]> = new Map([
  ["ro", [ATTR.RDONLY, 0]],
  ["rw", [0, ATTR.RDONLY]],
  ["nosuid", [ATTR.NOSUID, 0]],
  ["suid", [0, ATTR.NOSUID]],
  ["nodev", [ATTR.NODEV, 0]],
  ["dev", [0, ATTR.NODEV]],
  ["noexec", [ATTR.NOEXEC, 0]],
  ["exec", [0, ATTR.NOEXEC]],
  ["noatime", [ATTR.NOATIME, ATTR.ATIME_MASK]],
  ["strictatime", [ATTR.STRICTATIME, ATTR.ATIME_MASK]],
  ["relatime", [0, ATTR.ATIME_MASK]],
  ["atime", [0, ATTR.ATIME_MASK]],
  ["norelatime", [ATTR.STRICTATIME, ATTR.ATIME_MASK]],
  ["nostrictatime", [0, ATTR.ATIME_MASK]],
  ["nodiratime", [ATTR.NODIRATIME, 0]],
  ["diratime", [0, ATTR.NODIRATIME]],
  ["nosymfollow", [ATTR.NOSYMFOLLOW, 0]],
  ["symfollow", [0, ATTR.NOSYMFOLLOW]],
]);

/** Options that mean something to mount(8) or the kernel's log only, or are the default; mandatory locks went with Linux 5.15. */
const IGNORED: ReadonlySet<string> = new Set(
  "defaults async nofail _netdev auto noauto silent loud noiversion nomand".split(" "),
);

/** Parameters of the superblock that are flags of mount(2), not text for the file system. */
const SUPERBLOCK_FLAGS: ReadonlySet<string> = new Set(["sync", "dirsync", "lazytime", "nolazytime", "mand"]);

export function propagationOf(name: string): { flag: number; recursive: boolean } | undefined {
  const plain = PROPAGATION.get(name);
  if (plain !== undefined) return { flag: plain, recursive: false };
  const recursive = name.startsWith("r") ? PROPAGATION.get(name.slice(1)) : undefined;
  return recursive === undefined ? undefined : { flag: recursive, recursive: true };
}

/**
 * Parses the options of a mount.
 * @param where the mount's place in the config, for the message: `mounts[3]`.
 * @throws LighterError ("invalid") for an option that only a file system takes, on a bind mount.
 */
export function parseMountOptions(options: readonly string[], where: string): MountOptions {
  const parsed: MountOptions = {
    set: 0,
    clear: 0,
    recursiveSet: 0,
    recursiveClear: 0,
    bind: false,
    recursive: false,
    remount: false,
    copyUp: false,
    parameters: [],
  };
  for (const option of options) {
    const attribute = ATTRIBUTES.get(option);
    const recursive = option.startsWith("r") ? ATTRIBUTES.get(option.slice(1)) : undefined;
    const propagation = propagationOf(option);
    if (attribute) {
      parsed.set = (parsed.set & ~attribute[1]) | attribute[0];
      parsed.clear = (parsed.clear & ~attribute[0]) | attribute[1];
    } else if (option === "bind" || option === "rbind") {
      parsed.bind = true;
      parsed.recursive ||= option === "rbind";
    } else if (propagation) {
      parsed.propagation = propagation;
    } else if (recursive) {
      parsed.recursiveSet = (parsed.recursiveSet & ~recursive[1]) | recursive[0];
      parsed.recursiveClear = (parsed.recursiveClear & ~recursive[0]) | recursive[1];
    } else if (option === "tmpcopyup") {
      parsed.copyUp = true;
    } else if (option === "idmap" || option === "ridmap") {
      parsed.idmap = option;
    } else if (option === "remount") {
      parsed.remount = true;
    } else if (!IGNORED.has(option)) {
      parsed.parameters.push(parameter(option));
    }
  }
  const [first] = parsed.parameters;
  if (parsed.bind && first)
    throw new LighterError("invalid", `${where}: option "${first.key}" is for a file system, not for a bind mount`);
  return parsed;
}

function parameter(option: string): { key: string; value?: string } {
  if (SUPERBLOCK_FLAGS.has(option)) return { key: option };
  const at = option.indexOf("=");
  return at < 0 ? { key: option } : { key: option.slice(0, at), value: option.slice(at + 1) };
}

/** The names that `parseMountOptions` takes as the runtime-spec's own, sorted; those of file systems are not among them. */
export function mountOptionNames(): string[] {
  const known = [
    ...[...ATTRIBUTES.keys(), ...PROPAGATION.keys()].flatMap((name) => [name, `r${name}`]),
    ...[...SUPERBLOCK_FLAGS, "bind", "rbind", "tmpcopyup", "idmap", "ridmap", "remount", "defaults", "async"],
  ];
  return known.filter(isTaken).sort();
}

function isTaken(option: string): boolean {
  try {
    parseMountOptions([option], "features");
    return true;
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-supported") return false;
    throw error;
  }
}
