/** bun:ffi, for the functions of libc that `src/linux/sys` opens: each is a system call, or made of some. */
import { AF_INET, AT_EMPTY_PATH, AT_FDCWD, SIGSET_BYTES, SOCK_DGRAM_CLOEXEC } from "../linux/sys/abi.ts";
import { type Argument, host, tryCall } from "./door.ts";
import { CALLS } from "./numbers.ts";
import { restoreSigpipe } from "./signals.ts";
import { getAttributes, makeRaw, setAttributes } from "./terminal.ts";

type LibcFunction = (...args: never[]) => number;
interface Signature {
  returns?: string;
}

let errno = 0;

/** The address of errno, which only `read` gets. */
const ERRNO_LOCATION = 1;
const EINVAL = -22;
const SIOCGIFINDEX = 0x8933;
const INDEX_AT = 16;

const call =
  (name: keyof typeof CALLS) =>
  (...args: Argument[]) =>
    tryCall(name, ...args);

/** Functions that are no system call of the same name and the same arguments. Each returns a negative errno if it fails. */
const OTHERS: Readonly<Record<string, LibcFunction>> = {
  open: (path: Uint8Array, flags: number) => tryCall("openat", AT_FDCWD, path, flags, 0),
  dup2: (from: number, to: number) => (from === to ? tryCall("fcntl", from, 1, 0) && to : tryCall("dup3", from, to, 0)),
  renameat: (fromFd: number, from: Uint8Array, toFd: number, to: Uint8Array) =>
    tryCall("renameat2", fromFd, from, toFd, to, 0),
  /** fchmodat(2) has no flags. */
  fchmodat: (fd: number, path: Uint8Array, mode: number) => tryCall("fchmodat", fd, path, mode),
  futimens: (fd: number, times: ArrayBufferView) => tryCall("utimensat", fd, null, times, 0),
  poll: (pollfds: Argument, count: number | bigint, waitMs: number) =>
    tryCall("ppoll", pollfds, count, waitMs < 0 ? null : timespec(waitMs), null, 0),
  waitpid: (pid: number, status: Int32Array, options: number) => tryCall("wait4", pid, status, options, null),
  pthread_sigmask: (how: number, mask: ArrayBufferView | null, before: ArrayBufferView | null) =>
    tryCall("rt_sigprocmask", how, mask, before, SIGSET_BYTES),
  fexecve: (fd: number, argv: Argument, envp: Argument) => {
    restoreSigpipe();
    return tryCall("execveat", fd, new Uint8Array(1), argv, envp, AT_EMPTY_PATH);
  },
  if_nametoindex: (name: Uint8Array) => Math.max(0, interfaceIndex(name)),
  tcgetattr: getAttributes,
  tcsetattr: (fd: number, _when: number, termios: Uint8Array) => setAttributes(fd, termios),
  cfmakeraw: (termios: Uint8Array) => {
    makeRaw(termios);
    return 0;
  },
  syscall: (number: number | bigint, ...args: Argument[]) => host.syscall(Number(number), ...args.slice(0, 6)),
};

const timespec = (ms: number) => new BigInt64Array([BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * 1e6)]);

function interfaceIndex(name: Uint8Array): number {
  const request = new Uint8Array(40);
  request.set(name.subarray(0, INDEX_AT));
  const fd = tryCall("socket", AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return fd;
  const rc = tryCall("ioctl", fd, SIOCGIFINDEX, request);
  tryCall("close", fd);
  return rc < 0 ? rc : new DataView(request.buffer).getInt32(INDEX_AT, true);
}

/** With libc's way of telling an error: -1, and errno. */
function asLibc(work: LibcFunction, returns: string | undefined): (...args: never[]) => number | bigint {
  const isBig = returns === "i64" || returns === "u64";
  return (...args) => {
    const result = work(...args);
    if (result >= 0) return isBig ? BigInt(result) : result;
    errno = -result;
    return isBig ? -1n : -1;
  };
}

export function dlopen(_library: string, functions: Readonly<Record<string, Signature>>) {
  const symbols = Object.entries(functions).map(([name, { returns }]) => {
    if (name === "__errno_location") return [name, () => ERRNO_LOCATION];
    const work = Object.hasOwn(OTHERS, name)
      ? OTHERS[name]!
      : name in CALLS
        ? call(name as keyof typeof CALLS)
        : undefined;
    return [name, asLibc((work ?? (() => missing(name))) as LibcFunction, returns)];
  });
  return { symbols: Object.fromEntries(symbols), close: () => {} };
}

function missing(name: string): number {
  throw new Error(`the short commands have no ${name}: src/shims/ffi.ts`);
}

export const read = {
  i32: (address: number, _offset: number): number => (address === ERRNO_LOCATION ? errno : EINVAL),
};

/** Views stand for their address, which is taken at the call; where a number is needed, `ptr` gives it. */
export function ptr(view: ArrayBufferView): number {
  return host.address(view);
}
