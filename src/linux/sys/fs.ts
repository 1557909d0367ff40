/**
 * File-system calls that `node:fs` lacks: everything relative to a directory fd, with paths as bytes.
 *
 * A path is a `BytePath`: a string whose char codes are the path's bytes (0–255, none of them 0). Linux paths are
 * bytes and tar entries name them in any encoding; one char a byte keeps splitting, comparing and map keys cheap.
 *
 * Every call is synchronous and throws a `LighterError` ("kernel") with the errno's name; the ones a caller expects
 * to fail in the normal course of things (`tryX`) return a negative errno instead, for speed.
 */

import { constants } from "node:fs";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  EAGAIN,
  EEXIST,
  ELOOP,
  ENOENT,
  O_CLOEXEC,
  PATH_MAX,
} from "./abi.ts";
import { kernelError, tryCall } from "./door.ts";

export { EEXIST, ELOOP, ENOENT, kernelError, O_CLOEXEC, PATH_MAX };

/** A path as bytes: one char for each byte, and no NUL. */
export type BytePath = string & { readonly __brand: "BytePath" };

export const O_PATH = 0o10000000;
export const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
export const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK } = constants;

/** Bits of `resolve` for openat2(2). */
export const RESOLVE_NO_XDEV = 0x01n;
export const RESOLVE_NO_MAGICLINKS = 0x02n;
export const RESOLVE_NO_SYMLINKS = 0x04n;
export const RESOLVE_BENEATH = 0x08n;
export const RESOLVE_IN_ROOT = 0x10n;

/** Bytes of one name, without a NUL. */
export const NAME_MAX = 255;

export const EPERM = -1;
export const EXDEV = -18;
export const ENOTDIR = -20;
export const ENAMETOOLONG = -36;

/** Two scratch buffers: no call takes more than two paths, and nothing here is re-entrant. */
const scratchA = Buffer.alloc(PATH_MAX + 1);
const scratchB = Buffer.alloc(PATH_MAX + 1);

function cString(scratch: Buffer, path: string): Buffer {
  // Longer than the kernel takes: let it say ENAMETOOLONG.
  const length = Math.min(path.length, PATH_MAX);
  scratch.write(path, 0, length, "latin1");
  scratch[length] = 0;
  return scratch;
}

/** The path as a person reads it: UTF-8 where it is UTF-8. */
export function showPath(path: string): string {
  return Buffer.from(path, "latin1").toString("utf8");
}

export function bytePath(text: string): BytePath {
  return Buffer.from(text, "utf8").toString("latin1") as BytePath;
}

export function bytePathOf(bytes: Uint8Array): BytePath {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1") as BytePath;
}

function check(rc: number, call: string, path: string): number {
  if (rc >= 0) return rc;
  throw kernelError(rc, `${call} "${showPath(path)}"`);
}

/** Calls openat(2) with O_CLOEXEC. Returns the fd, or a negative errno. */
export function tryOpenat(dirFd: number, name: string, flags: number, mode = 0): number {
  return tryCall("openat", dirFd, cString(scratchA, name), flags | O_CLOEXEC, mode);
}

export function openat(dirFd: number, name: string, flags: number, mode = 0): number {
  return check(tryOpenat(dirFd, name, flags, mode), "open", name);
}

const openHow = new BigUint64Array(3);

/** Calls openat2(2) (Linux 5.6) with O_CLOEXEC. Returns the fd, or a negative errno. */
export function tryOpenat2(dirFd: number, path: string, flags: number, resolve: bigint): number {
  openHow[0] = BigInt(flags | O_CLOEXEC);
  openHow[1] = 0n;
  openHow[2] = resolve;
  for (;;) {
    const rc = tryCall("openat2", dirFd, cString(scratchA, path), openHow, openHow.byteLength);
    // RESOLVE_IN_ROOT with "..": the kernel saw a rename somewhere and wants another try.
    if (rc !== EAGAIN) return rc;
  }
}

/** Returns 0, or a negative errno. */
export function tryMkdirat(dirFd: number, name: string, mode: number): number {
  return tryCall("mkdirat", dirFd, cString(scratchA, name), mode);
}

/** Makes a file; `mode` includes its S_IFMT bits. Returns 0, or a negative errno. */
export function tryMknodat(dirFd: number, name: string, mode: number, device: bigint): number {
  return tryCall("mknodat", dirFd, cString(scratchA, name), mode, device);
}

export function trySymlinkat(target: string, dirFd: number, name: string): number {
  return tryCall("symlinkat", cString(scratchA, target), dirFd, cString(scratchB, name));
}

/** Makes a hard link. Never follows `oldName` if it is a symlink. */
export function tryLinkat(oldDirFd: number, oldName: string, newDirFd: number, newName: string): number {
  return tryCall("linkat", oldDirFd, cString(scratchA, oldName), newDirFd, cString(scratchB, newName), 0);
}

/** Gives an open file, which may be O_PATH but not a symlink, one more name. */
export function tryLinkFd(fd: number, newDirFd: number, newName: string): number {
  const path = cString(scratchA, `/proc/self/fd/${fd}`);
  return tryCall("linkat", AT_FDCWD, path, newDirFd, cString(scratchB, newName), AT_SYMLINK_FOLLOW);
}

/** Renames, replacing what has the new name, as rename(2) does. */
export function tryRenameat(oldDirFd: number, oldName: string, newDirFd: number, newName: string): number {
  return tryCall("renameat2", oldDirFd, cString(scratchA, oldName), newDirFd, cString(scratchB, newName), 0);
}

export function tryUnlinkat(dirFd: number, name: string): number {
  return tryCall("unlinkat", dirFd, cString(scratchA, name), 0);
}

export function tryRmdirat(dirFd: number, name: string): number {
  return tryCall("unlinkat", dirFd, cString(scratchA, name), AT_REMOVEDIR);
}

const linkTarget = Buffer.alloc(PATH_MAX);

/** The target of the symlink that `linkFd` has open (O_PATH | O_NOFOLLOW). */
export function readlinkFd(linkFd: number): BytePath {
  const length = tryCall("readlinkat", linkFd, cString(scratchA, ""), linkTarget, linkTarget.length);
  if (length < 0) throw kernelError(length, "readlink");
  return linkTarget.toString("latin1", 0, length) as BytePath;
}

/** Changes the owner of the entry itself; a symlink is not followed. */
export function lchownat(dirFd: number, name: string, uid: number, gid: number): void {
  check(tryCall("fchownat", dirFd, cString(scratchA, name), uid, gid, AT_SYMLINK_NOFOLLOW), "chown", name);
}

export function fchown(fd: number, uid: number, gid: number, what: string): void {
  check(tryCall("fchown", fd, uid, gid), "chown", what);
}

/** Changes the owner by fd, which may be O_PATH. */
export function fchownPathFd(fd: number, uid: number, gid: number, what: string): void {
  check(tryCall("fchownat", fd, cString(scratchA, ""), uid, gid, AT_EMPTY_PATH), "chown", what);
}

/**
 * Changes the mode by fd, which may be O_PATH but not of a symlink. It goes through /proc, which leads to the very file: Linux
 * has `fchmodat2` since 6.6 only.
 */
export function chmodPathFd(fd: number, mode: number, what: string): void {
  check(tryCall("fchmodat", AT_FDCWD, cString(scratchA, `/proc/self/fd/${fd}`), mode), "chmod", what);
}

export function fchmod(fd: number, mode: number, what: string): void {
  check(tryCall("fchmod", fd, mode), "chmod", what);
}

/** Follows symlinks: `name` must be known not to be one. */
export function chmodat(dirFd: number, name: string, mode: number): void {
  check(tryCall("fchmodat", dirFd, cString(scratchA, name), mode), "chmod", name);
}

const times = new BigInt64Array(4);

/** Sets both times in the buffer, to the nanosecond. */
function setTimes(seconds: number, nanoseconds: number): BigInt64Array {
  times[0] = times[2] = BigInt(seconds);
  times[1] = times[3] = BigInt(nanoseconds);
  return times;
}

/** Sets atime and mtime. */
export function futimens(fd: number, seconds: number, nanoseconds: number, what: string): void {
  check(tryCall("utimensat", fd, null, setTimes(seconds, nanoseconds), 0), "set times of", what);
}

/** Sets atime and mtime of the entry itself; a symlink is not followed. */
export function lutimensat(dirFd: number, name: string, seconds: number, nanoseconds: number): void {
  check(
    tryCall("utimensat", dirFd, cString(scratchA, name), setTimes(seconds, nanoseconds), AT_SYMLINK_NOFOLLOW),
    "set times of",
    name,
  );
}

export function fsetxattr(fd: number, name: string, value: Uint8Array, what: string): void {
  check(
    tryCall("fsetxattr", fd, cString(scratchA, name), value, value.length, 0),
    `set xattr "${showPath(name)}" on`,
    what,
  );
}

/**
 * Sets an xattr of the entry itself. It goes through /proc, which does not follow a symlink there: Linux has `lsetxattrat` since
 * 6.13 only.
 */
export function lsetxattrat(dirFd: number, entry: string, name: string, value: Uint8Array): void {
  const path = Buffer.from(`/proc/self/fd/${dirFd}/${entry}\0`, "latin1");
  check(
    tryCall("lsetxattr", path, cString(scratchA, name), value, value.length, 0),
    `set xattr "${showPath(name)}" on`,
    entry,
  );
}

const xattrValue = Buffer.alloc(65536);

/**
 * The result of a call, or a negative errno. It is first made for the fd, which takes a quarter of the time; one that is O_PATH needs
 * the path.
 */
function tryFdThenPath(fd: number, byFd: () => number, byPath: (path: Buffer) => number): number {
  const EBADF = -9;
  const result = byFd();
  return result === EBADF ? byPath(Buffer.from(`/proc/self/fd/${fd}\0`, "latin1")) : result;
}

/** The value of an xattr, or undefined if the file does not have it. `fd` may be O_PATH, but not of a symlink. */
export function getxattrFd(fd: number, name: string): Buffer | undefined {
  const [key, value] = [cString(scratchA, name), xattrValue];
  const length = tryFdThenPath(
    fd,
    () => tryCall("fgetxattr", fd, key, value, value.length),
    (path) => tryCall("getxattr", path, key, value, value.length),
  );
  if (length >= 0) return Buffer.from(value.subarray(0, length));
  const errno = length;
  const ENODATA = -61;
  const EOPNOTSUPP = -95;
  if (errno === ENODATA || errno === EOPNOTSUPP) return undefined;
  throw kernelError(errno, `read xattr "${showPath(name)}"`);
}

/** The names, as bytes, of a file's xattrs. `fd` may be O_PATH, but not of a symlink. */
export function listXattrsFd(fd: number): string[] {
  const length = tryFdThenPath(
    fd,
    () => tryCall("flistxattr", fd, xattrValue, xattrValue.length),
    (path) => tryCall("listxattr", path, xattrValue, xattrValue.length),
  );
  if (length === 0) return [];
  if (length > 0)
    return xattrValue
      .toString("latin1", 0, length - 1)
      .split("\0")
      .sort();
  const EOPNOTSUPP = -95;
  if (length === EOPNOTSUPP) return [];
  throw kernelError(length, "list xattrs");
}

/** Joins a device's numbers to Linux's 64-bit dev_t (gnu_dev_makedev). */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((low & 0xffffff00n) << 12n) | ((high & 0xfffn) << 8n) | (low & 0xffn);
}

/** Splits the rdev of `stat` into its parts (gnu_dev_major, gnu_dev_minor). */
export function splitDevice(device: number): { major: number; minor: number } {
  const value = BigInt(device);
  return {
    major: Number(((value >> 32n) & 0xfffff000n) | ((value >> 8n) & 0xfffn)),
    minor: Number(((value >> 12n) & 0xffffff00n) | (value & 0xffn)),
  };
}
