/** The small engine's host: the object that `host/door.c` makes. Everything else of this folder stands on it, and on `linux/sys/door.ts`. */
import { type Argument, type CallName, tryCall } from "../linux/sys/door.ts";
import { errnoName, errnoText } from "../linux/sys/errno.ts";

interface Host {
  /** The address of bytes, which the caller keeps alive. The collector moves nothing. */
  address(bytes: ArrayBufferView): number;
  /** UTF-8 with U+FFFD for lone surrogates. */
  encode(text: string): ArrayBuffer;
  /** Writes the text's UTF-8 between two places, whole characters, as many as fit. Returns how many bytes that are. */
  encodeInto(text: string, bytes: Uint8Array, from: number, to: number): number;
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

/** An error with the fields of Node's. `rc` is a negative errno. */
export function systemError(rc: number, syscall: string, path?: string): NodeJS.ErrnoException {
  const code = errnoName(-rc);
  const where = path === undefined ? "" : ` '${path}'`;
  const error: NodeJS.ErrnoException = new Error(`${code}: ${errnoText(code)}, ${syscall}${where}`);
  return Object.assign(error, { code, errno: rc, syscall, ...(path === undefined ? {} : { path }) });
}

/** Calls the kernel. @throws an error with the fields of Node's */
export function call(name: CallName, ...args: Argument[]): number {
  const result = tryCall(name, ...args);
  if (result < 0) throw systemError(result, name);
  return result;
}
