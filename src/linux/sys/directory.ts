/** Reads directories by fd and piece by piece: a container may have made one with ten million names. */

import { closeSync } from "node:fs";
import { AT_EMPTY_PATH, AT_FDCWD, DT_DIR, DT_UNKNOWN, ENOENT } from "./abi.ts";
import { check, kernelError, tryCall } from "./door.ts";
import { type BytePath, bytePath, O_DIRECTORY, O_RDONLY, PATH_MAX, showPath, tryOpenat } from "./fs.ts";

export interface DirectoryEntry {
  name: BytePath;
  /** Whether it is a directory, or undefined if this file system does not say. */
  isDirectory: boolean | undefined;
}

/** Offsets in a record of getdents64(2): `d_ino`, `d_off`, `d_reclen`, `d_type`, then the name. */
const LENGTH_AT = 16;
const TYPE_AT = 18;
const NAME_AT = 19;

const entries = Buffer.alloc(64 * 1024);

/** Reads the next entries, without "." and "..". Returns none at the end, and none for a directory that was removed. */
export function readEntries(directoryFd: number): DirectoryEntry[] {
  for (;;) {
    const length = tryCall("getdents64", directoryFd, entries, entries.length);
    if (length === 0 || length === ENOENT) return [];
    check(length, "read a directory");
    const found: DirectoryEntry[] = [];
    for (let at = 0; at < length; at += entries.readUInt16LE(at + LENGTH_AT)) {
      const name = entries.toString("latin1", at + NAME_AT, entries.indexOf(0, at + NAME_AT)) as BytePath;
      if (name === "." || name === "..") continue;
      const type = entries[at + TYPE_AT];
      found.push({ name, isDirectory: type === DT_UNKNOWN ? undefined : type === DT_DIR });
    }
    if (found.length > 0) return found;
  }
}

/** Lets the next read begin at the first entry. */
export function rewind(directoryFd: number): void {
  check(tryCall("lseek", directoryFd, 0, 0), "lseek(2)");
}

/** Whether the path is a directory without entries. False for anything that is not a directory. */
export function isEmptyDirectory(path: string): boolean {
  const fd = tryOpenat(AT_FDCWD, bytePath(path), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return false;
  try {
    return readEntries(fd).length === 0;
  } finally {
    closeSync(fd);
  }
}

export interface EntryStat {
  kind: "file" | "directory" | "other";
  sizeBytes: number;
  linkCount: number;
  /** Tells this file from every other one on this host. */
  identity: string;
}

const AT_SYMLINK_NOFOLLOW_NO_AUTOMOUNT = 0x100 | 0x800;
/** STATX_TYPE | STATX_NLINK | STATX_INO | STATX_SIZE */
const WANTED = 0x1 | 0x4 | 0x100 | 0x200;

const name0 = Buffer.alloc(PATH_MAX + 1);
const statBuffer = Buffer.alloc(256);

/** What an entry is, or undefined if it does not exist. A symlink is not followed; "" is the directory itself. */
export function statEntry(directoryFd: number, name: string): EntryStat | undefined {
  name0[name0.write(name, 0, PATH_MAX, "latin1")] = 0;
  const flags = name === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW_NO_AUTOMOUNT;
  const rc = tryCall("statx", directoryFd, name0, flags, WANTED, statBuffer);
  if (rc === ENOENT) return undefined;
  if (rc < 0) throw kernelError(rc, `stat "${showPath(name)}"`);
  // Source: statx(2). 16 stx_nlink, 28 stx_mode, 32 stx_ino, 40 stx_size, 136 stx_dev_major, 140 stx_dev_minor
  const type = statBuffer.readUInt16LE(28) & 0o170000;
  const device = `${statBuffer.readUInt32LE(136)}:${statBuffer.readUInt32LE(140)}`;
  return {
    kind: type === 0o100000 ? "file" : type === 0o040000 ? "directory" : "other",
    sizeBytes: Number(statBuffer.readBigUInt64LE(40)),
    linkCount: statBuffer.readUInt32LE(16),
    identity: `${device}:${statBuffer.readBigUInt64LE(32)}`,
  };
}
