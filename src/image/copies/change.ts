/** Changes to single paths of a layer that is being composed, beside copies: what LLB's actions on files do. */
import { closeSync, writeSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import {
  type BytePath,
  bytePath,
  kernelError,
  lchownat,
  lutimensat,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  openat,
  showPath,
  tryMknodat,
  trySymlinkat,
} from "../../linux/sys/fs.ts";
import { writeFailure } from "../store/write-failure.ts";
import { setAttributes } from "../tar/make-entry.ts";
import { closeAll } from "../tree/layered-fs.ts";
import type { LayerTarget, Owner, TargetDirectory } from "./layer-target.ts";

/** What a new entry has. */
interface NewEntry {
  mode: number;
  owner: Owner;
  /** Nanoseconds; undefined: now. */
  mtimeNs: bigint | undefined;
}

const [S_IFCHR, WHITEOUT_DEVICE] = [0o020000, 0n];

function attributesOf({ mode, owner, mtimeNs }: NewEntry) {
  return { mode, ...owner, xattrs: [], ...timeOf(mtimeNs) };
}

/** A time as attributes have it. */
export function timeOf(mtimeNs: bigint = BigInt(Date.now()) * 1_000_000n) {
  const nanoseconds = ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { mtimeSeconds: Number((mtimeNs - nanoseconds) / 1_000_000_000n), mtimeNanoseconds: Number(nanoseconds) };
}

function failure(what: string, path: string, why: string): LighterError {
  return new LighterError("invalid", `${what} ${showPath(path as BytePath)}: ${why}`);
}

/** Makes a directory. One that is there already is as good. */
export function makeDirectory(target: LayerTarget, path: string, entry: NewEntry & { makesParents: boolean }): void {
  const { directory, missing, name } = target.resolve(bytePath(path));
  if (name !== undefined) throw failure("mkdir", path, "not a directory");
  if (missing.length > 1 && !entry.makesParents) throw failure("mkdir", path, "no such file or directory");
  if (missing.length === 0 && entry.makesParents) directory.adjust({ ...entry.owner, ...timeIf(entry.mtimeNs) });
  const made: TargetDirectory[] = [];
  try {
    for (const each of missing) made.push((made.at(-1) ?? directory).make(each, attributesOf(entry)));
  } finally {
    for (const each of made.reverse()) each.close();
  }
}

function timeIf(mtimeNs: bigint | undefined) {
  return mtimeNs === undefined ? {} : timeOf(mtimeNs);
}

/** Makes a file, in place of one that is there. */
export function makeFile(target: LayerTarget, path: string, content: Uint8Array, entry: NewEntry): void {
  const { directory, missing, name } = target.resolve(bytePath(path));
  if (name === undefined && missing.length === 0) throw failure("open", path, "is a directory");
  if (missing.length > 1) throw failure("open", path, "no such file or directory");
  const own = name ?? missing[0]!;
  const existing = name === undefined ? undefined : directory.find(name);
  if (existing !== undefined) {
    closeAll(existing.fds);
    directory.clear(own, existing);
  }
  directory.uncover(own);
  const fd = openat(directory.fd(), own, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    for (let done = 0; done < content.length; ) done += writeSync(fd, content, done);
    setAttributes(fd, attributesOf(entry), bytePath(path));
  } catch (error) {
    throw writeFailure(path, error);
  } finally {
    closeSync(fd);
  }
}

/** Makes a symlink where nothing is. */
export function makeSymlink(target: LayerTarget, path: string, link: string, { owner, mtimeNs }: NewEntry): void {
  const { directory, name } = parentOf(target, bytePath(path)) ?? {};
  if (directory === undefined || name === undefined) throw failure("symlink", path, "no such file or directory");
  const existing = directory.find(name);
  closeAll(existing?.fds ?? []);
  if (existing !== undefined) throw failure("symlink", path, "file exists");
  directory.uncover(name);
  const rc = trySymlinkat(bytePath(link), directory.fd(), name);
  if (rc < 0) throw kernelError(rc, `symlink "${path}"`);
  lchownat(directory.fd(), name, owner.uid, owner.gid);
  const { mtimeSeconds, mtimeNanoseconds } = timeOf(mtimeNs);
  lutimensat(directory.fd(), name, mtimeSeconds, mtimeNanoseconds);
}

/** Removes what is at the path, which may be a symlink, with all that is in it. */
export function removePath(target: LayerTarget, path: BytePath, { allowNotFound }: { allowNotFound: boolean }): void {
  const { directory, name } = parentOf(target, path) ?? {};
  const found = name === undefined ? undefined : directory?.find(name);
  closeAll(found?.fds ?? []);
  if (directory === undefined || name === undefined || found === undefined) {
    if (allowNotFound) return;
    throw failure("lstat", path, "no such file or directory");
  }
  directory.clear(name, found);
  const below = directory.find(name);
  closeAll(below?.fds ?? []);
  if (below === undefined) return;
  directory.cover(name);
  const rc = tryMknodat(directory.fd(), name, S_IFCHR, WHITEOUT_DEVICE);
  if (rc < 0) throw kernelError(rc, `remove "${showPath(path)}"`);
}

/** The directory in which a path ends, symlinks on the way followed. */
function parentOf(target: LayerTarget, path: BytePath): { directory: TargetDirectory; name: string } | undefined {
  const { directory, missing, name } = target.resolve(posix.dirname(path) as BytePath);
  return missing.length > 0 || name !== undefined ? undefined : { directory, name: posix.basename(path) };
}
