/** The part of node:fs that the short commands use, synchronous as they use it. */

import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  DT_DIR,
  DT_UNKNOWN,
  EAGAIN,
  EBUSY,
  EEXIST,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTEMPTY,
  MONOTONIC,
  O_CLOEXEC,
  PATH_MAX,
} from "../linux/sys/abi.ts";
import { type Argument, cString, tryCall } from "../linux/sys/door.ts";
import { type Buffer, type Encoding, toHex, viewOf } from "./buffer.ts";
import { embeddedFile } from "./embedded.ts";
import { EventEmitter } from "./events.ts";
import { checkOptions, lookUp } from "./given.ts";
import { call, host, systemError } from "./host.ts";
import { POLLIN, POLLOUT, unwatch, watch as watchFd } from "./loop.ts";
import { dirname, join } from "./path.ts";
import { type StatOptions, type Stats, statOf } from "./stats.ts";

export type { Stats };

type Path = string | Uint8Array;

const isX64 = host.arch === "x64";
const [O_CREAT, O_TRUNC, O_APPEND, O_EXCL] = [0o100, 0o1000, 0o2000, 0o200];

export const constants = {
  F_OK: 0,
  X_OK: 1,
  W_OK: 2,
  R_OK: 4,
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT,
  O_EXCL,
  O_NOCTTY: 0o400,
  O_TRUNC,
  O_APPEND,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: isX64 ? 0o200000 : 0o40000,
  O_NOFOLLOW: isX64 ? 0o400000 : 0o100000,
  S_IFMT: 0o170000,
  S_IFSOCK: 0o140000,
  S_IFLNK: 0o120000,
  S_IFREG: 0o100000,
  S_IFBLK: 0o060000,
  S_IFDIR: 0o040000,
  S_IFCHR: 0o020000,
  S_IFIFO: 0o010000,
} as const;

const FLAGS = {
  r: 0,
  "r+": 2,
  w: 1 | O_CREAT | O_TRUNC,
  wx: 1 | O_CREAT | O_TRUNC | O_EXCL,
  "w+": 2 | O_CREAT | O_TRUNC,
  a: 1 | O_CREAT | O_APPEND,
  "a+": 2 | O_CREAT | O_APPEND,
} as const satisfies Record<string, number>;
type Flags = number | keyof typeof FLAGS;

const named = (path: Path) => (typeof path === "string" ? path : cString(path));
const shown = (path: Path) => (typeof path === "string" ? path : host.decode(path));

function must(rc: number, name: string, path?: Path): number {
  if (rc < 0) throw systemError(rc, name, path === undefined ? undefined : shown(path));
  return rc;
}

/** A call on a path relative to our directory. */
function onPath(name: Parameters<typeof tryCall>[0], shownName: string, path: Path, ...args: Argument[]): number {
  return must(tryCall(name, AT_FDCWD, named(path), ...args), shownName, path);
}

const modeOf = (mode: number | string | undefined, otherwise: number) =>
  typeof mode === "string" ? Number.parseInt(mode, 8) : (mode ?? otherwise);

export function openSync(path: Path, flags: Flags = "r", mode?: number | string): number {
  const bits = typeof flags === "number" ? flags : lookUp<number>("open", FLAGS, flags);
  return onPath("openat", "open", path, bits | O_CLOEXEC, modeOf(mode, 0o666));
}

export function closeSync(fd: number): void {
  call("close", fd);
}

type ReadOptions = { offset?: number; length?: number; position?: number | null };

export function readSync(
  fd: number,
  target: ArrayBufferView,
  offset: number | ReadOptions = 0,
  length?: number,
  position?: number | null,
): number {
  if (typeof offset === "object")
    return readSync(fd, target, offset.offset ?? 0, offset.length, offset.position ?? null);
  const bytes = viewOf(target).subarray(offset, length === undefined ? undefined : offset + length);
  return typeof position === "number"
    ? call("pread64", fd, bytes, bytes.length, position)
    : call("read", fd, bytes, bytes.length);
}

export function writeSync(
  fd: number,
  data: string | ArrayBufferView,
  offset = 0,
  length?: number,
  position?: number | null,
): number {
  const bytes =
    typeof data === "string"
      ? new Uint8Array(host.encode(data))
      : viewOf(data).subarray(offset, length === undefined ? undefined : offset + length);
  return typeof position === "number"
    ? call("pwrite64", fd, bytes, bytes.length, position)
    : call("write", fd, bytes, bytes.length);
}

/** What a pipe takes without blocking once poll(2) says that it takes something. */
const PIPE_BUF = 4096;

/** Writes when the reader has room, so that signals and timers are not kept waiting. */
export function write(
  fd: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  _position: null,
  done: (error: Error | null, count: number) => void,
): void {
  const waiting = watchFd(fd, POLLOUT, () => {
    unwatch(waiting);
    const part = bytes.subarray(offset, offset + Math.min(length, PIPE_BUF));
    const count = tryCall("write", fd, part, part.length);
    if (count < 0) done(systemError(count, "write"), 0);
    else done(null, count);
  });
}

const READ_BYTES = 65536;

function readAll(fd: number): Buffer {
  const size = fstatSync(fd).size;
  let bytes = new Uint8Array(size > 0 ? size + 1 : READ_BYTES);
  let length = 0;
  for (;;) {
    const count = call("read", fd, bytes.subarray(length), bytes.length - length);
    if (count === 0) return viewOf(bytes.subarray(0, length));
    length += count;
    if (length === bytes.length) {
      const bigger = new Uint8Array(2 * length);
      bigger.set(bytes);
      bytes = bigger;
    }
  }
}

type Encoded = { encoding?: Encoding } | Encoding;

function encodingOf(options: Encoded | undefined): Encoding | undefined {
  if (typeof options !== "object") return options;
  checkOptions("fs", options, ["encoding"]);
  return options.encoding;
}

export function readFileSync(path: Path | number): Buffer;
export function readFileSync(path: Path | number, encoding: Encoding): string;
export function readFileSync(path: Path | number, encoding?: Encoding): Buffer | string {
  const embedded = embeddedFile(path);
  if (embedded !== undefined) return viewOf(embedded);
  const fd = typeof path === "number" ? path : openSync(path);
  try {
    const bytes = readAll(fd);
    return encoding === undefined ? bytes : bytes.toString(encoding);
  } catch (error) {
    throw typeof path === "number" ? error : Object.assign(error as Error, { path: shown(path) });
  } finally {
    if (typeof path !== "number") closeSync(fd);
  }
}

interface WriteOptions {
  flag?: Flags;
  mode?: number | string;
  flush?: boolean;
}

export function writeFileSync(path: Path | number, data: string | ArrayBufferView, options: WriteOptions = {}): void {
  checkOptions("writeFile", options, ["flag", "mode", "flush"]);
  const { flag = "w", mode, flush = false } = options;
  const fd = typeof path === "number" ? path : openSync(path, flag, mode);
  try {
    const bytes = typeof data === "string" ? new Uint8Array(host.encode(data)) : viewOf(data);
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    if (flush) fsyncSync(fd);
  } finally {
    if (typeof path !== "number") closeSync(fd);
  }
}

export function appendFileSync(path: Path, data: string | ArrayBufferView): void {
  writeFileSync(path, data, { flag: "a" });
}

export function fstatSync(fd: number): Stats {
  return statOf(fd, "", 0, "fstat")!;
}

export function statSync(path: Path): Stats;
export function statSync(path: Path, options: StatOptions): Stats | undefined;
export function statSync(path: Path, options?: StatOptions): Stats | undefined {
  return statOf(AT_FDCWD, path, 0, "stat", options);
}

export function lstatSync(path: Path): Stats;
export function lstatSync(path: Path, options: StatOptions): Stats | undefined;
export function lstatSync(path: Path, options?: StatOptions): Stats | undefined {
  return statOf(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, "lstat", options);
}

const STATFS_BYTES = 120;

/** Source: statfs(2). */
export function statfsSync(path: Path): { type: number; bsize: number } {
  const statfs = new BigInt64Array(STATFS_BYTES / 8);
  must(tryCall("statfs", named(path), statfs), "statfs", path);
  return { type: Number(statfs[0]), bsize: Number(statfs[1]) };
}

export function existsSync(path: Path): boolean {
  return tryCall("faccessat", AT_FDCWD, named(path), 0) === 0;
}

export function accessSync(path: Path, mode = 0): void {
  onPath("faccessat", "access", path, mode);
}

interface MkdirOptions {
  recursive?: boolean;
  mode?: number | string;
}

export function mkdirSync(path: string, given: MkdirOptions | number = {}): string | undefined {
  const options: MkdirOptions = typeof given === "number" ? { mode: given } : given;
  checkOptions("mkdir", options, ["recursive", "mode"]);
  const { recursive = false, mode } = options;
  const bits = modeOf(mode, 0o777);
  if (!recursive) {
    onPath("mkdirat", "mkdir", path, bits);
    return undefined;
  }
  const rc = tryCall("mkdirat", AT_FDCWD, path, bits);
  if (rc === 0) return path;
  if (rc === EEXIST && statSync(path, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  if (rc !== ENOENT || dirname(path) === path) must(rc, "mkdir", path);
  const first = mkdirSync(dirname(path), { recursive, mode: bits });
  return mkdirSync(path, { recursive, mode: bits }) === undefined ? first : (first ?? path);
}

const MADE_NAMES = 100;

export function mkdtempSync(prefix: string): string {
  for (let i = 0; ; i++) {
    const bytes = new Uint8Array(3);
    call("getrandom", bytes, bytes.length, 0);
    const path = prefix + toHex(bytes);
    const rc = tryCall("mkdirat", AT_FDCWD, path, 0o700);
    if (rc === 0) return path;
    if (rc !== EEXIST || i === MADE_NAMES) must(rc, "mkdtemp", path);
  }
}

export function rmdirSync(path: Path): void {
  onPath("unlinkat", "rmdir", path, AT_REMOVEDIR);
}

export function unlinkSync(path: Path): void {
  onPath("unlinkat", "unlink", path, 0);
}

interface RemoveOptions {
  recursive?: boolean;
  force?: boolean;
  /** How often a directory is tried again that is busy, at intervals; one to which others add meanwhile always is. */
  maxRetries?: number;
}

const BUSY_PAUSE = new BigInt64Array([0n, 100_000_000n]);

export function rmSync(path: string, options: RemoveOptions = {}): void {
  checkOptions("rm", options, ["recursive", "force", "maxRetries"]);
  const { recursive = false, force = false, maxRetries = 0 } = options;
  const rc = tryCall("unlinkat", AT_FDCWD, path, 0);
  if (rc === 0 || (rc === ENOENT && force)) return;
  if (rc !== EISDIR || !recursive) must(rc, "rm", path);
  for (const name of readdirSync(path)) rmSync(join(path, name), { ...options, force: true });
  const removed = tryCall("unlinkat", AT_FDCWD, path, AT_REMOVEDIR);
  if (removed === ENOTEMPTY) rmSync(path, options);
  else if (removed === EBUSY && maxRetries > 0) {
    tryCall("clock_nanosleep", MONOTONIC, 0, BUSY_PAUSE, null);
    rmSync(path, { ...options, maxRetries: maxRetries - 1 });
  } else if (removed !== ENOENT) must(removed, "rm", path);
}

export function renameSync(from: Path, to: Path): void {
  must(tryCall("renameat2", AT_FDCWD, named(from), AT_FDCWD, named(to), 0), "rename", from);
}

export function linkSync(from: Path, to: Path): void {
  must(tryCall("linkat", AT_FDCWD, named(from), AT_FDCWD, named(to), 0), "link", from);
}

export function symlinkSync(target: Path, path: Path): void {
  must(tryCall("symlinkat", named(target), AT_FDCWD, named(path)), "symlink", path);
}

export function readlinkSync(path: Path, options?: Encoded): string {
  const room = new Uint8Array(PATH_MAX);
  const length = onPath("readlinkat", "readlink", path, room, room.length);
  return viewOf(room.subarray(0, length)).toString(encodingOf(options));
}

/** Follows every symlink on the way. */
export function realpathSync(path: string): string {
  const rest = join(path.startsWith("/") ? path : `${process.cwd()}/${path}`, ".").split("/");
  let real = "/";
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "" || name === ".") continue;
    const next = name === ".." ? dirname(real) : join(real, name);
    if (lstatSync(next)?.isSymbolicLink()) {
      if (++links > 40) throw systemError(ELOOP, "realpath", path);
      const target = readlinkSync(next);
      rest.unshift(...target.split("/"));
      if (target.startsWith("/")) real = "/";
    } else real = next;
  }
  return real;
}

export function chmodSync(path: Path, mode: number): void {
  onPath("fchmodat", "chmod", path, mode);
}

export function fchmodSync(fd: number, mode: number): void {
  call("fchmod", fd, mode);
}

export function chownSync(path: Path, uid: number, gid: number): void {
  onPath("fchownat", "chown", path, uid, gid, 0);
}

export function fsyncSync(fd: number): void {
  call("fsync", fd);
}

export function ftruncateSync(fd: number, length = 0): void {
  call("ftruncate", fd, length);
}

const DT_LNK = 10;
const DT_REG = 8;

class Dirent {
  constructor(
    readonly name: string,
    readonly parentPath: string,
    readonly type: number,
  ) {}
  isFile(): boolean {
    return this.type === DT_REG;
  }
  isDirectory(): boolean {
    return this.type === DT_DIR;
  }
  isSymbolicLink(): boolean {
    return this.type === DT_LNK;
  }
}

const DIRENT_NAME_AT = 19;

function entriesOf(path: Path, encoding?: Encoding): Dirent[] {
  const fd = openSync(path, constants.O_DIRECTORY);
  const room = viewOf(new Uint8Array(READ_BYTES / 2));
  const found: Dirent[] = [];
  try {
    for (;;) {
      const length = must(tryCall("getdents64", fd, room, room.length), "scandir", path);
      if (length === 0) return found;
      for (let at = 0; at < length; at += room[at + 16]! + 256 * room[at + 17]!) {
        const begin = at + DIRENT_NAME_AT;
        const name = room.toString(encoding, begin, room.indexOf(0, begin));
        if (name === "." || name === "..") continue;
        const type = room[at + 18]!;
        found.push(new Dirent(name, shown(path), type === DT_UNKNOWN ? typeOf(join(shown(path), name)) : type));
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** For file systems that do not say it in a listing. */
function typeOf(path: string): number {
  return (lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0) >> 12;
}

export function readdirSync(path: Path, options?: { encoding?: Encoding }): string[];
export function readdirSync(path: Path, options: { withFileTypes: true }): Dirent[];
export function readdirSync(
  path: Path,
  options: { withFileTypes?: boolean; encoding?: Encoding } = {},
): string[] | Dirent[] {
  checkOptions("readdir", options, ["withFileTypes", "encoding"]);
  const entries = entriesOf(path, options.encoding);
  return options.withFileTypes ? entries : entries.map(({ name }) => name);
}

const IN_MODIFY_ATTRIB_MOVE_DELETE = 0x2 | 0x4 | 0x400 | 0x800;
const IN_NONBLOCK_CLOEXEC = 0o4000 | O_CLOEXEC;

class Watcher extends EventEmitter<{ error: [Error] }> {
  readonly #fd = call("inotify_init1", IN_NONBLOCK_CLOEXEC);
  readonly #watch;
  constructor(path: string, changed: () => void) {
    super();
    must(tryCall("inotify_add_watch", this.#fd, path, IN_MODIFY_ATTRIB_MOVE_DELETE), "watch", path);
    const room = new Uint8Array(PATH_MAX);
    this.#watch = watchFd(this.#fd, POLLIN, () => {
      if (tryCall("read", this.#fd, room, room.length) !== EAGAIN) changed();
    });
  }
  close(): void {
    unwatch(this.#watch);
    closeSync(this.#fd);
  }
}

/** Calls `changed` whenever the file changes. */
export function watch(path: string, changed: () => void): Watcher {
  return new Watcher(path, changed);
}

export { refuse as createReadStream } from "./unsupported.ts";
