/**
 * Unpacks the archive that `cp` receives from a container into a directory of this machine. The archive is hostile.
 * Every entry is made through an fd of its parent directory, which is reached from `directory` name by name without
 * following symlinks: nothing outside is ever opened. Owners are not kept.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { goQuote } from "../../base/go-escapes.ts";
import { LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import { type TarEntry, TarReader } from "../../image/tar/tar-reader.ts";
import {
  type BytePath,
  bytePath,
  chmodat,
  ELOOP,
  ENOENT,
  ENOTDIR,
  fchmod,
  futimens,
  kernelError,
  lutimensat,
  makeDevice,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  showPath,
  tryLinkat,
  tryMkdirat,
  tryMknodat,
  tryOpenat,
  trySymlinkat,
  tryUnlinkat,
} from "../../linux/sys/fs.ts";
import { sendFile } from "../../linux/sys/send-file.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { CliError } from "../exit.ts";
import { errnoText } from "../values/env-file.ts";
import { type CopyPlan, renameEntry } from "./container-path.ts";

/** Mode of directories that the archive implies without describing them. */
const IMPLIED_MODE = 0o755;
const COPY_BYTES = 256 * 1024;

/** Unpacks the archive's bytes as they come; nothing stays open after `close`. */
export class Unpacker {
  readonly #rootFd: number;
  readonly #plan: CopyPlan;
  readonly #reader: TarReader;
  /** Parent directory of the previous entry, kept open: archives go directory by directory. */
  #parent: { path: string; fd: number } | undefined;
  #fileFd: number | undefined;
  #entry: TarEntry | undefined;
  /** Directories whose times are set at the end, when nothing more is created in them. */
  readonly #directories: { path: string; entry: TarEntry }[] = [];

  /** @throws CliError if the directory cannot be opened */
  constructor(plan: CopyPlan) {
    this.#plan = plan;
    try {
      this.#rootFd = openSync(plan.directory, O_DIRECTORY);
    } catch (error) {
      throw new CliError(`open ${plan.directory}: ${errnoText(error)}`);
    }
    this.#reader = new TarReader({
      entry: (entry) => this.#begin(entry),
      data: (bytes, offset) => this.#write(bytes, offset),
      dataIn: (range, offset) => this.#copy(range, offset),
      endEntry: () => this.#endFile(),
    });
  }

  /** @throws LighterError ("invalid") for a malformed archive, ("kernel"); CliError for what must not be overwritten */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** @throws as `push` */
  pushFile(range: FileRange): void {
    this.#reader.pushFile(range);
  }

  /** Finishes after the last byte of the archive. */
  end(): void {
    this.#reader.end();
    for (const { path, entry } of this.#directories.reverse()) {
      const fd = this.#openDirectory(path, false);
      try {
        futimens(fd, entry.mtimeSeconds, entry.mtimeNanoseconds, showPath(path));
      } finally {
        if (fd !== this.#rootFd) closeSync(fd);
      }
    }
  }

  close(): void {
    if (this.#fileFd !== undefined) closeSync(this.#fileFd);
    this.#forgetParent();
    closeSync(this.#rootFd);
  }

  #begin(entry: TarEntry): void {
    const { rename } = this.#plan;
    const byteRename = rename && { from: bytePath(rename.from), to: bytePath(rename.to) };
    const renamed = byteRename === undefined ? entry.path : renameEntry(entry.path, byteRename);
    const path = this.#inside(renamed);
    this.#entry = entry;
    if (path === "") {
      if (entry.type !== "directory")
        throw new CliError(`cannot overwrite directory with non-directory ${this.#show(path)}`);
      fchmod(this.#rootFd, entry.mode, showPath(this.#plan.directory));
      this.#directories.push({ path, entry });
      return;
    }
    const slash = path.lastIndexOf("/");
    const parentFd = this.#parentFd(path.slice(0, Math.max(slash, 0)));
    const name = path.slice(slash + 1);
    if (!this.#makeRoom(parentFd, name, path, entry)) this.#create(parentFd, name, path, entry, byteRename);
    if (entry.type === "directory") {
      chmodat(parentFd, name, entry.mode);
      this.#directories.push({ path, entry });
    } else if (entry.type !== "file") this.#setAttributes(parentFd, name, entry);
  }

  /** Removes what is in the entry's way. Returns true if the entry is a directory that exists already. */
  #makeRoom(parentFd: number, name: string, path: string, entry: TarEntry): boolean {
    const fd = tryOpenat(parentFd, name, O_PATH | O_NOFOLLOW);
    if (fd === ENOENT) return false;
    if (fd < 0) throw kernelError(fd, `open "${this.#show(path)}"`);
    const isDirectory = fstatSync(fd).isDirectory();
    closeSync(fd);
    const quoted = `${goQuote(this.#show(path))}`;
    const target = goQuote(this.#plan.directory);
    if (isDirectory && entry.type !== "directory")
      throw new CliError(`cannot overwrite directory ${quoted} with non-directory ${target}`);
    if (!isDirectory && entry.type === "directory")
      throw new CliError(`cannot overwrite non-directory ${quoted} with directory ${target}`);
    if (isDirectory) return true;
    const rc = tryUnlinkat(parentFd, name);
    if (rc < 0 && rc !== ENOENT) throw kernelError(rc, `remove "${this.#show(path)}"`);
    return false;
  }

  #create(
    parentFd: number,
    name: string,
    path: string,
    entry: TarEntry,
    rename: { from: string; to: string } | undefined,
  ): void {
    const rc = this.#tryCreate(parentFd, name, entry, rename);
    if (rc < 0) throw kernelError(rc, `create "${this.#show(path)}"`);
    if (entry.type === "file") this.#fileFd = rc;
  }

  /** Tries to create the entry. Returns the fd of a file, 0 for anything else, or a negative errno. */
  #tryCreate(
    parentFd: number,
    name: string,
    entry: TarEntry,
    rename: { from: string; to: string } | undefined,
  ): number {
    switch (entry.type) {
      case "file":
        return tryOpenat(parentFd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      case "directory":
        return tryMkdirat(parentFd, name, 0o700);
      case "symlink":
        return trySymlinkat(entry.linkPath, parentFd, name);
      case "hardlink": {
        const target = this.#inside(rename === undefined ? entry.linkPath : renameEntry(entry.linkPath, rename));
        const slash = target.lastIndexOf("/");
        const targetFd = this.#openDirectory(target.slice(0, Math.max(slash, 0)), false);
        try {
          return tryLinkat(targetFd, target.slice(slash + 1), parentFd, name);
        } finally {
          if (targetFd !== this.#rootFd) closeSync(targetFd);
        }
      }
      default: {
        const kind = { char: S_IFCHR, block: S_IFBLK, fifo: S_IFIFO }[entry.type];
        const device = entry.type === "fifo" ? 0n : makeDevice(entry.deviceMajor, entry.deviceMinor);
        return tryMknodat(parentFd, name, kind | entry.mode, device);
      }
    }
  }

  #setAttributes(parentFd: number, name: string, entry: TarEntry): void {
    if (entry.type === "hardlink") return; // a hard link has the mode and times of its target
    if (entry.type !== "symlink") chmodat(parentFd, name, entry.mode); // mknod(2) applies the umask
    lutimensat(parentFd, name, entry.mtimeSeconds, entry.mtimeNanoseconds);
  }

  #write(bytes: Uint8Array, offset: number): void {
    if (this.#fileFd === undefined) return;
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fileFd, bytes, done, bytes.length - done, offset + done);
  }

  /** Copies from a file of the container's. Bytes that it no longer has are zeros. */
  #copy(range: FileRange, offset: number): void {
    if (this.#fileFd === undefined) return;
    let done = 0;
    try {
      done = sendFile(range, this.#fileFd, offset);
    } catch {
      // read(2) and write(2) can all that it can, and explain what cannot be.
      const buffer = new Uint8Array(COPY_BYTES);
      for (let count = 1; count > 0; done += count) {
        count = readSync(range.fd, buffer, 0, Math.min(buffer.length, range.length - done), range.offset + done);
        this.#write(buffer.subarray(0, count), offset + done);
      }
    }
    if (done < range.length) ftruncateSync(this.#fileFd, offset + range.length);
  }

  #endFile(): void {
    const [fd, entry] = [this.#fileFd, this.#entry];
    if (fd === undefined || entry === undefined) return;
    this.#fileFd = undefined;
    try {
      fchmod(fd, entry.mode, showPath(entry.path));
      futimens(fd, entry.mtimeSeconds, entry.mtimeNanoseconds, showPath(entry.path));
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Returns the path below the directory, "" for the directory itself.
   * @throws CliError for one that leads outside
   */
  #inside(path: string): BytePath {
    const names: string[] = [];
    for (const name of path.split("/")) {
      if (name === "" || name === ".") continue;
      if (name !== "..") names.push(name);
      else if (names.pop() === undefined)
        throw new CliError(`${goQuote(showPath(path))} is outside of ${goQuote(this.#plan.directory)}`);
    }
    if (names.length > LAYER_PATH_MAX_DEPTH)
      throw new CliError(`${goQuote(showPath(path))} has more than ${LAYER_PATH_MAX_DEPTH} directories`);
    return names.join("/") as BytePath;
  }

  #parentFd(path: string): number {
    if (path === "") return this.#rootFd;
    if (this.#parent?.path === path) return this.#parent.fd;
    this.#forgetParent();
    this.#parent = { path, fd: this.#openDirectory(path, true) };
    return this.#parent.fd;
  }

  #forgetParent(): void {
    if (this.#parent !== undefined) closeSync(this.#parent.fd);
    this.#parent = undefined;
  }

  /**
   * Opens a directory and returns a new fd, or the root's own fd for "". `make` creates the directories that are
   * missing.
   */
  #openDirectory(path: string, make: boolean): number {
    let fd = this.#rootFd;
    for (const name of path === "" ? [] : path.split("/")) {
      if (make) tryMkdirat(fd, name, IMPLIED_MODE);
      const next = tryOpenat(fd, name, O_DIRECTORY | O_NOFOLLOW);
      if (fd !== this.#rootFd) closeSync(fd);
      if (next === ENOTDIR || next === ELOOP)
        throw new CliError(
          `${goQuote(this.#show(path))} is not below ${goQuote(this.#plan.directory)}: a symlink or file is in the way`,
        );
      if (next < 0) throw kernelError(next, `open "${this.#show(path)}"`);
      fd = next;
    }
    return fd;
  }

  #show(path: string): string {
    const { directory } = this.#plan;
    return `${directory.endsWith("/") ? directory : `${directory}/`}${showPath(path)}`;
  }
}
