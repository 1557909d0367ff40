/** The small engine's one door to the kernel: the object that `host/door.c` makes. Everything else of this folder stands on it. */
import { errnoName, errnoText } from "../linux/sys/errno.ts";
import { CALLS } from "./numbers.ts";

/** What a system call takes: bytes stand for their address, null for 0. */
export type Argument = number | bigint | ArrayBufferView | ArrayBuffer | null;

interface Host {
  /** Returns the result, or a negative errno. */
  syscall(number: number, ...args: Argument[]): number;
  /** The address of bytes, which the caller keeps alive. The collector moves nothing. */
  address(bytes: ArrayBufferView): number;
  /** UTF-8 with U+FFFD for lone surrogates. */
  encode(text: string): ArrayBuffer;
  /** The text of UTF-8, by the rules of TextDecoder; a byte order mark is a character. */
  decode(bytes: Uint8Array): string;
  latin1(bytes: Uint8Array): string;
  sha256(bytes: Uint8Array): ArrayBuffer;
  /** Starts a program. Returns its pid, or a negative errno, also that of execve(2). */
  spawn(
    path: Uint8Array,
    argv: BigUint64Array,
    envp: BigUint64Array,
    fds: Int32Array,
    newSession: boolean,
    directory: Uint8Array | null,
  ): number;
  /** Gives these settings back to a terminal if a signal or a crash ends us; without them no longer. */
  keepTerminal(fd: number, termios?: Uint8Array): void;
  onStart(start: () => void): void;
  /** `turn` waits for what comes next and does it; false means that nothing is left to wait for. */
  onIdle(turn: () => boolean): void;
  onUncaught(report: (error: unknown) => void): void;
  /** What the process was started with; undefined while the program is built. */
  readonly argv?: readonly string[];
  readonly environ?: readonly string[];
  /** The addresses of their vectors, with all bytes as they came. */
  readonly argvAt?: number;
  readonly environAt?: number;
  readonly arch: "x64" | "arm64";
}

export const { host } = globalThis as unknown as { host: Host };

/** A call's number on this architecture. */
function numberOf(call: keyof typeof CALLS): number {
  return CALLS[call][host.arch === "x64" ? 0 : 1];
}

/** Calls the kernel. Returns the result, or a negative errno. Interrupted calls are made once more. */
export function tryCall(call: keyof typeof CALLS, ...args: Argument[]): number {
  const number = numberOf(call);
  for (;;) {
    const result = host.syscall(number, ...args);
    if (result !== -EINTR) return result;
  }
}

const EINTR = 4;
export const EAGAIN = -11;

/** The text as the kernel takes it: with a NUL at the end. */
export function cString(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === "string" ? new Uint8Array(host.encode(text)) : text;
  const ended = new Uint8Array(bytes.length + 1);
  ended.set(bytes);
  return ended;
}

/** An error with the fields of Node's. `rc` is a negative errno. */
export function systemError(rc: number, syscall: string, path?: string): NodeJS.ErrnoException {
  const code = errnoName(-rc);
  const where = path === undefined ? "" : ` '${path}'`;
  const error: NodeJS.ErrnoException = new Error(`${code}: ${errnoText(code)}, ${syscall}${where}`);
  return Object.assign(error, { code, errno: rc, syscall, ...(path === undefined ? {} : { path }) });
}

/** Calls the kernel. @throws an error with the fields of Node's */
export function call(name: keyof typeof CALLS, ...args: Argument[]): number {
  const result = tryCall(name, ...args);
  if (result < 0) throw systemError(result, name);
  return result;
}
