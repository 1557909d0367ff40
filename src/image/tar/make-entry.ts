/** Makes entries of a tar in an open directory, for all who unpack. They decide themselves about what is there already. */
import { closeSync, ftruncateSync, writeSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { ownRights } from "../../linux/rights.ts";
import {
  fchmod,
  fchown,
  fsetxattr,
  futimens,
  makeDevice,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  showPath,
  tryMknodat,
  tryOpenat,
  trySymlinkat,
} from "../../linux/sys/fs.ts";
import { sendFile } from "../../linux/sys/send-file.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { writeFailure } from "../store/write-failure.ts";
import type { TarEntry } from "./tar-reader.ts";

/** Flags for a new file. It is ours alone until it has its mode. */
const NEW_FILE_FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;

/** The regular file of one entry at a time, while its bytes come. */
export class EntryFile {
  #fd = -1;
  #entry: TarEntry | undefined;
  #end = 0;

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  get fd(): number {
    return this.#fd;
  }

  get sizeBytes(): number {
    return this.#entry?.size ?? 0;
  }

  /** Makes the file unless something is there. Returns a negative errno on failure. */
  create(parentFd: number, name: string, entry: TarEntry): number {
    const fd = tryOpenat(parentFd, name, NEW_FILE_FLAGS, 0o600);
    if (fd < 0) return fd;
    this.#fd = fd;
    this.#entry = entry;
    this.#end = 0;
    return 0;
  }

  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; )
      done += this.#explained(() => writeSync(this.#fd, bytes, done, bytes.length - done, offset + done));
    this.#end = offset + bytes.length;
  }

  /** Writes bytes that are in another file. @throws LighterError "invalid" if it ends before them */
  writeRange(range: FileRange, offset: number): void {
    const count = this.#explained(() => sendFile(range, this.#fd, offset));
    if (count < range.length)
      throw new LighterError("invalid", `"${showPath(this.#entry?.path ?? "")}" became shorter while it was copied`);
    this.#end = offset + count;
  }

  /**
   * Completes the file when all bytes have come; does nothing if there is none. `isOwned` says that its owner is right already.
   */
  finish(isOwned: (entry: TarEntry) => boolean = () => false): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    if (this.#end < entry.size) this.#explained(() => ftruncateSync(this.#fd, entry.size)); // the file ends with a hole
    setAttributes(this.#fd, entry, entry.path, isOwned(entry));
    this.close();
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#entry = undefined;
  }

  #explained<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw writeFailure(`/${showPath(this.#entry?.path ?? "")}`, error);
    }
  }
}

/** Makes a symlink, device or fifo. Returns a negative errno on failure. */
export function createSpecial(parentFd: number, name: string, entry: TarEntry): number {
  switch (entry.type) {
    case "symlink":
      return trySymlinkat(entry.linkPath, parentFd, name);
    case "fifo":
      return tryMknodat(parentFd, name, S_IFIFO | 0o600, 0n);
    default: {
      const kind = entry.type === "char" ? S_IFCHR : S_IFBLK;
      return tryMknodat(parentFd, name, kind | 0o600, makeDevice(entry.deviceMajor, entry.deviceMinor));
    }
  }
}

export type Attributes = Pick<TarEntry, "mode" | "uid" | "gid" | "mtimeSeconds" | "mtimeNanoseconds" | "xattrs">;

/** Sets attributes. `isOwned` says that the owner is right already. */
export function setAttributes(fd: number, entry: Attributes, path: string, isOwned = false): void {
  if (!isOwned) fchown(fd, entry.uid, entry.gid, path);
  fchmod(fd, entry.mode, path); // must follow chown(2), which clears setuid
  for (const { name, value } of entry.xattrs) setXattr(name, () => fsetxattr(fd, name, value, path));
  futimens(fd, entry.mtimeSeconds, entry.mtimeNanoseconds, path);
}

/** Attributes that we alone may set: they would redirect one overlay directory to another. */
const OVERLAY_XATTR = /^(trusted|user)\.overlay\./;

export function setXattr(name: string, set: () => void): void {
  if (OVERLAY_XATTR.test(name)) return;
  try {
    set();
  } catch (error) {
    // As with Docker, labels of another host's security module, user xattrs on tmpfs, or what a user namespace may not set do not make
    // an image unusable. A file capability is different: without it the program would not work, or not be what was signed.
    const isTolerated = errnoOf(error) === "EOPNOTSUPP" || (errnoOf(error) === "EPERM" && ownRights().inUserNamespace);
    if (!isTolerated || name === "security.capability") throw error;
  }
}
