/** The C functions that this folder calls, and how their errors become ours. */
import { ptr, read } from "bun:ffi";
import { assert } from "../../base/assert.ts";
import { LighterError } from "../../base/errors.ts";
import { errnoName, errnoText } from "./errno.ts";
import { libcSymbols } from "./symbols.ts";

/** The calls of this folder that have no file of their own. Each is synchronous; its errno must be read right after it. */
export const libc = libcSymbols({
  __errno_location: { args: [], returns: "ptr" },
  memfd_create: { args: ["cstring", "u32"], returns: "i32" },
  open: { args: ["ptr", "i32"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
  madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
  sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  recvmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  recvfrom: { args: ["i32", "ptr", "u64", "i32", "ptr", "ptr"], returns: "i64" },
  if_nametoindex: { args: ["ptr"], returns: "u32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  fexecve: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  pthread_sigmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
});

/** The errno of the call that has just failed in this thread. Must directly follow that call. */
export function lastErrnoNumber(): number {
  const location = libc.__errno_location();
  assert(location !== null, "errno has no address");
  return read.i32(location, 0);
}

/** The name of the errno of the call that has just failed. Must directly follow that call. */
export function lastErrno(): string {
  return errnoName(lastErrnoNumber());
}

/** Throws if `result` is negative, naming the call and its errno. Must directly follow the call. */
export function check(result: number | bigint, what: string): number {
  if (result >= 0) return Number(result);
  const errno = lastErrno();
  throw new LighterError("kernel", `${what}: ${errno} (${errnoText(errno)})`, { errno });
}

/** A NUL-terminated copy, for a `ptr` argument. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** The address of a buffer, for an integer argument. The caller keeps the buffer alive during the call. */
export function address(bytes: Uint8Array | null): bigint {
  return bytes === null ? 0n : BigInt(ptr(bytes));
}
