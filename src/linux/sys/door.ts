/**
 * The one door to the kernel, on both engines: system calls by their names. What they take is numbers and bytes; what they give is the
 * result, or a negative errno.
 */
import { dlopen, FFIType, ptr, read } from "bun:ffi";
import { LighterError } from "../../base/errors.ts";
import { EINTR } from "./abi.ts";
import { errnoName, errnoText } from "./errno.ts";
import { CALLS } from "./numbers.ts";

/** What a system call takes: bytes stand for their address, a text for that of its UTF-8 with a NUL at the end, null for 0. */
export type Argument = number | bigint | string | ArrayBufferView | null;
export type CallName = keyof typeof CALLS;

interface Kernel {
  /** Returns the result, or a negative errno. */
  syscall(number: number, ...args: Argument[]): number;
  /** The address of bytes, which the caller keeps alive. No collector moves them. */
  address(bytes: ArrayBufferView): number;
  /** Gives these settings back to a terminal if a signal or a crash ends us; without them no longer. */
  keepTerminal(fd: number, settings?: Uint8Array): void;
  readonly arch: string;
}

/** What the small engine's host is, Bun makes of libc's syscall(2). */
function kernelOfBun(): Kernel {
  const { symbols } = dlopen("libc.so.6", {
    syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: FFIType.i64_fast },
    __errno_location: { args: [], returns: "ptr" },
  });
  const errno = symbols.__errno_location()!; // of this thread, which is the only one that runs this module's functions
  const address = (bytes: ArrayBufferView) => (bytes.byteLength === 0 ? 0 : ptr(bytes as Uint8Array));
  return {
    arch: process.arch,
    address,
    keepTerminal() {}, // it does so by itself
    syscall(number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) {
      const given = [a, b, c, d, e, f].map((each) => (typeof each === "string" ? cString(each) : (each ?? 0)));
      const [v0, v1, v2, v3, v4, v5] = given.map((each) => (typeof each === "object" ? address(each) : each));
      const result = Number(symbols.syscall(number, v0!, v1!, v2!, v3!, v4!, v5!));
      held = given;
      return result === -1 ? -read.i32(errno, 0) : result;
    },
  };
}

/** What a call has been given is reachable until the next one, so that its bytes are there while the kernel uses them. */
let held: readonly unknown[] = [];
void held;

const kernel = (globalThis as { host?: Kernel }).host ?? kernelOfBun();
const column = kernel.arch === "arm64" ? 1 : 0;

/** Calls the kernel; an interrupted call is made once more. Returns the result, or a negative errno. */
export function tryCall(name: CallName, ...args: Argument[]): number {
  const number = CALLS[name][column];
  for (;;) {
    const result = kernel.syscall(number, ...args);
    if (result !== EINTR) return result;
  }
}

export const { keepTerminal } = kernel;

/** The error for `what`, which failed with the negative errno `rc`. */
export function kernelError(rc: number, what: string): LighterError {
  const errno = errnoName(-rc);
  return new LighterError("kernel", `${what}: ${errno} (${errnoText(errno)})`, { errno });
}

/** Returns the result. @throws LighterError ("kernel") if it is a negative errno, naming `what` */
export function check(result: number, what: string): number {
  if (result < 0) throw kernelError(result, what);
  return result;
}

/** The text's UTF-8, or the bytes, as the kernel takes them where it is given an address: with a NUL at the end. */
export function cString(text: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(text as string);
  if (bytes.includes(0)) throw new TypeError("a text for the kernel has a NUL in it");
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}

/** The address of bytes, which the caller keeps alive, for a pointer inside a struct. */
export function addressOf(bytes: ArrayBufferView): bigint {
  return BigInt(kernel.address(bytes));
}
