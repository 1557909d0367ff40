/** statx(2) as node:fs's Stats. */

import { AT_EMPTY_PATH, ENOENT } from "../linux/sys/abi.ts";
import { cString, tryCall } from "../linux/sys/door.ts";
import { checkOptions } from "./given.ts";
import { host, systemError } from "./host.ts";

export interface StatOptions {
  throwIfNoEntry?: boolean;
}

const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;

export class Stats {
  readonly #view: DataView;
  constructor(statx: Uint8Array) {
    this.#view = new DataView(statx.buffer);
  }
  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }
  #u64(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }
  /** As makedev(3) makes it. */
  #device(at: number): number {
    const [major, minor] = [this.#u32(at), this.#u32(at + 4)];
    return Number(
      (BigInt(major & 0xfff) << 8n) |
        BigInt(minor & 0xff) |
        (BigInt(minor >>> 8) << 20n) |
        (BigInt(major >>> 12) << 44n),
    );
  }
  #timeMs(at: number): number {
    return Number(this.#view.getBigInt64(at, true)) * 1000 + this.#u32(at + 8) / 1e6;
  }
  get blksize() {
    return this.#u32(4);
  }
  get nlink() {
    return this.#u32(16);
  }
  get uid() {
    return this.#u32(20);
  }
  get gid() {
    return this.#u32(24);
  }
  get mode() {
    return this.#view.getUint16(28, true);
  }
  get ino() {
    return this.#u64(32);
  }
  get size() {
    return this.#u64(40);
  }
  get blocks() {
    return this.#u64(48);
  }
  get atimeMs() {
    return this.#timeMs(64);
  }
  get ctimeMs() {
    return this.#timeMs(96);
  }
  get mtimeMs() {
    return this.#timeMs(112);
  }
  get mtime() {
    return new Date(this.mtimeMs);
  }
  get rdev() {
    return this.#device(128);
  }
  get dev() {
    return this.#device(136);
  }
  #is(type: number): boolean {
    return (this.mode & 0o170000) === type;
  }
  isFile(): boolean {
    return this.#is(0o100000);
  }
  isDirectory(): boolean {
    return this.#is(0o040000);
  }
  isSymbolicLink(): boolean {
    return this.#is(0o120000);
  }
  isFIFO(): boolean {
    return this.#is(0o010000);
  }
  isSocket(): boolean {
    return this.#is(0o140000);
  }
  isCharacterDevice(): boolean {
    return this.#is(0o020000);
  }
  isBlockDevice(): boolean {
    return this.#is(0o060000);
  }
}

/** Undefined: there is nothing, and that is not to throw. */
export function statOf(
  dirFd: number,
  path: string | Uint8Array,
  flags: number,
  name: string,
  options: StatOptions = {},
): Stats | undefined {
  checkOptions(name, options, ["throwIfNoEntry"]);
  const statx = new Uint8Array(STATX_BYTES);
  const empty = path.length === 0 && name === "fstat" ? AT_EMPTY_PATH : 0;
  const rc = tryCall(
    "statx",
    dirFd,
    typeof path === "string" ? path : cString(path),
    flags | empty,
    STATX_BASIC_STATS,
    statx,
  );
  if (rc === 0) return new Stats(statx);
  if (options.throwIfNoEntry === false && rc === ENOENT) return undefined;
  throw systemError(rc, name, typeof path === "string" ? path : host.decode(path));
}
