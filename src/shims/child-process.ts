/** node:child_process, and what `Bun.spawn` shares with it. */

import { DEFAULT_PATH } from "../base/default-path.ts";
import { SIGKILL, type SignalName } from "../base/signals.ts";
import { AF_UNIX, AT_FDCWD, ENOENT, SOCK_STREAM_CLOEXEC } from "../linux/sys/abi.ts";
import { cString, tryCall } from "../linux/sys/door.ts";
import { Buffer, type Encoding } from "./buffer.ts";
import { EventEmitter, type None } from "./events.ts";
import { checkOptions } from "./given.ts";
import { call, host, systemError } from "./host.ts";
import { POLLIN, setImmediate, unwatch, type Watch, watch } from "./loop.ts";
import { signalName, signalNumber } from "./signals.ts";
import { Readable, setNonBlocking, Writable } from "./streams.ts";

type Stdio = "pipe" | "ignore" | "inherit" | number | null | undefined;
type AllStdio = Stdio | readonly Stdio[];

export interface SpawnOptions<Given extends AllStdio = AllStdio> {
  argv0?: string;
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  stdio?: Given;
  detached?: boolean;
}

/** What `checkOptions` lets through. */
export const OPTIONS = ["argv0", "env", "cwd", "stdio", "detached"] as const satisfies (keyof SpawnOptions)[];

const O_RDWR_CLOEXEC = 0o2000002;
const X_OK = 1;
const EACCES = -13;
const ECHILD = -10;

/** NUL-terminated strings and the array of their addresses; the strings live as long as what is returned. */
function vector(texts: readonly string[]): { pointers: BigUint64Array; strings: Uint8Array[] } {
  const strings = texts.map(cString);
  const pointers = new BigUint64Array(strings.length + 1);
  strings.forEach((each, i) => {
    pointers[i] = BigInt(host.address(each));
  });
  return { pointers, strings };
}

/** Where a program is: as given if that has a slash, otherwise in PATH. */
export function findProgram(name: string, path = DEFAULT_PATH): string | undefined {
  const isThere = (file: string) => tryCall("faccessat", AT_FDCWD, file, X_OK) === 0 && isFile(file);
  if (name.includes("/")) return isThere(name) ? name : undefined;
  return path
    .split(":")
    .map((folder) => `${folder || "."}/${name}`)
    .find(isThere);
}

function isFile(path: string): boolean {
  const statx = new Uint8Array(256);
  if (tryCall("statx", AT_FDCWD, path, 0, 0x7ff, statx) < 0) return false;
  return (new DataView(statx.buffer).getUint16(28, true) & 0o170000) === 0o100000;
}

interface Started {
  pid: number;
  /** Our ends of the pipes, by the child's fd. */
  ours: Map<number, number>;
}

/** Starts a program. @throws an error with the fields of Node's */
export function start(file: string, argv: readonly string[], options: SpawnOptions): Started {
  const { env = process.env, cwd, stdio = "pipe", detached = false } = options;
  const wanted = isList(stdio) ? [...stdio] : [stdio, stdio, stdio];
  while (wanted.length < 3) wanted.push("pipe");
  const ours = new Map<number, number>();
  const toClose: number[] = [];
  const open = (fd: number) => {
    toClose.push(fd);
    return fd;
  };
  try {
    const fds = wanted.map((each, i) => {
      if (typeof each === "number") return each;
      if (each === "inherit") return i;
      if (each === "ignore" || each === null) return open(call("openat", AT_FDCWD, "/dev/null", O_RDWR_CLOEXEC));
      const pair = new Int32Array(2);
      call("socketpair", AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair);
      setNonBlocking(pair[0]!); // on our end alone
      ours.set(i, pair[0]!);
      return open(pair[1]!);
    });
    const path = findProgram(file, env.PATH);
    const texts = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
    const [args, variables] = [vector(argv), vector(texts)];
    const pid =
      path === undefined
        ? missing(file)
        : host.spawn(
            cString(path),
            args.pointers,
            variables.pointers,
            new Int32Array(fds),
            detached,
            cwd === undefined ? null : cString(cwd),
          );
    if (pid < 0) throw Object.assign(systemError(pid, `spawn ${file}`, file), { spawnargs: argv.slice(1) });
    return { pid, ours };
  } catch (error) {
    for (const fd of ours.values()) tryCall("close", fd);
    throw error;
  } finally {
    for (const fd of toClose) tryCall("close", fd);
  }
}

const isList = (stdio: AllStdio): stdio is readonly Stdio[] => Array.isArray(stdio);

const missing = (file: string) =>
  file.includes("/") && tryCall("faccessat", AT_FDCWD, file, 0) === 0 ? EACCES : ENOENT;

export interface Ended {
  code: number | null;
  signal: SignalName | null;
}

/** What wait4(2) says; undefined while the process lives. */
function wait(pid: number, options: number): Ended | undefined {
  const status = new Int32Array(1);
  const rc = tryCall("wait4", pid, status, options, null);
  if (rc === 0) return undefined;
  if (rc === ECHILD) return { code: null, signal: null };
  const number = status[0]! & 0x7f;
  return number === 0
    ? { code: (status[0]! >> 8) & 0xff, signal: null }
    : { code: null, signal: signalName(number) ?? null };
}

/** Calls `ended` when the process has ended, and leaves no zombie. */
export function whenEnded(pid: number, ended: (how: Ended) => void): Watch {
  const fd = call("pidfd_open", pid, 0);
  const watching = watch(fd, POLLIN, () => {
    unwatch(watching);
    tryCall("close", fd);
    ended(wait(pid, 0)!);
  });
  return watching;
}

type How = [code: number | null, signal: SignalName | null];

export class ChildProcess extends EventEmitter<{ spawn: None; error: [Error]; exit: How; close: How }> {
  pid: number | undefined;
  stdin: Writable | null = null;
  stdout: Readable | null = null;
  stderr: Readable | null = null;
  exitCode: number | null = null;
  signalCode: SignalName | null = null;
  killed = false;
  #watch: Watch | undefined;
  #open = 0;

  constructor(file: string, args: readonly string[], options: SpawnOptions) {
    super();
    try {
      const { pid, ours } = start(file, [options.argv0 ?? file, ...args], options);
      this.pid = pid;
      this.#take(ours);
      this.#watch = whenEnded(pid, (how) => this.#ended(how));
      setImmediate(() => this.emit("spawn"));
    } catch (error) {
      // Streams are there although there is no process: callers listen to them.
      const none = () => new Readable(-1);
      this.stdin = new Writable(-1);
      this.stdin.destroyed = true;
      this.stdout = none();
      this.stderr = none();
      setImmediate(() => this.emit("error", error));
    }
  }

  #take(ours: ReadonlyMap<number, number>): void {
    for (const [number, fd] of ours) {
      const close = () => void tryCall("close", fd);
      if (number === 0) this.stdin = new Writable(fd, close);
      else if (number <= 2) {
        const stream = new Readable(fd, close);
        this.#open++;
        stream.once("close", () => {
          this.#open--;
          this.#close();
        });
        if (number === 1) this.stdout = stream;
        else this.stderr = stream;
      }
    }
  }

  #ended({ code, signal }: Ended): void {
    this.exitCode = code;
    this.signalCode = signal;
    this.#watch = undefined;
    this.stdin?.destroy();
    this.emit("exit", code, signal);
    this.#close();
  }

  /** "close" comes after the end of the process and of its output. */
  #close(): void {
    const ended = this.exitCode !== null || this.signalCode !== null;
    if (ended && this.#open === 0) this.emit("close", this.exitCode, this.signalCode);
  }

  kill(signal: SignalName | number = "SIGTERM"): boolean {
    if (this.pid === undefined || this.#watch === undefined) return false;
    const number = typeof signal === "number" ? signal : signalNumber(signal);
    const sent = tryCall("kill", this.pid, number) === 0;
    this.killed ||= sent;
    return sent;
  }

  ref(): void {
    if (this.#watch !== undefined) this.#watch.counted = true;
  }

  unref(): void {
    if (this.#watch !== undefined) this.#watch.counted = false;
  }
}

/** What the child's fd leads to by these options: a stream of ours if it is a pipe. */
type Pipe<Given extends AllStdio, At extends 0 | 1 | 2, Stream> = (
  Given extends readonly Stdio[]
    ? Given[At]
    : Given
) extends infer Each
  ? Each extends "pipe"
    ? Stream
    : null
  : never;

export type ChildProcessByStdio<In, Out, Err> = ChildProcess & { stdin: In; stdout: Out; stderr: Err };

export function spawn<const Given extends AllStdio = "pipe">(
  file: string,
  args: readonly string[],
  options: SpawnOptions<Given> = {},
): ChildProcessByStdio<Pipe<Given, 0, Writable>, Pipe<Given, 1, Readable>, Pipe<Given, 2, Readable>> {
  checkOptions("spawn", options, OPTIONS);
  return new ChildProcess(file, args, options) as never;
}

interface SpawnSyncResult<Output> extends Ended {
  pid: number;
  status: number | null;
  stdout: Output;
  stderr: Output;
  error?: Error;
}

/** Reads both outputs until they end. */
function readBoth(fds: readonly number[], maxBytes: number): { pieces: Uint8Array[][]; full: boolean } {
  const pieces: Uint8Array[][] = fds.map(() => []);
  const left = new Set(fds.keys());
  let total = 0;
  while (left.size > 0) {
    const polled = [...left];
    const pollfds = new Int32Array(2 * polled.length);
    polled.forEach((index, i) => {
      pollfds[2 * i] = fds[index]!;
      pollfds[2 * i + 1] = POLLIN;
    });
    call("ppoll", pollfds, polled.length, null, null, 0);
    polled.forEach((index, i) => {
      if (pollfds[2 * i + 1]! >> 16 === 0) return;
      const room = new Uint8Array(65536);
      const count = tryCall("read", fds[index]!, room, room.length);
      if (count > 0) pieces[index]!.push(room.subarray(0, count));
      else if (count !== -11) left.delete(index);
      total += Math.max(0, count);
    });
    if (total > maxBytes) return { pieces, full: true };
  }
  return { pieces, full: false };
}

type SyncOptions = SpawnOptions & { maxBuffer?: number };

export function spawnSync(file: string, args: readonly string[], options?: SyncOptions): SpawnSyncResult<Buffer>;
export function spawnSync(
  file: string,
  args: readonly string[],
  options: SyncOptions & { encoding: Encoding },
): SpawnSyncResult<string>;
export function spawnSync(
  file: string,
  args: readonly string[],
  { encoding, maxBuffer, ...options }: SyncOptions & { encoding?: Encoding } = {},
): SpawnSyncResult<Buffer | string> {
  checkOptions("spawnSync", options, OPTIONS);
  const asText = (bytes: Buffer) => (encoding === undefined ? bytes : bytes.toString(encoding));
  const empty = asText(Buffer.alloc(0));
  try {
    const { pid, ours } = start(file, [options.argv0 ?? file, ...args], options);
    const stdin = ours.get(0);
    if (stdin !== undefined) tryCall("close", stdin);
    const outputs = [1, 2].flatMap((number) => ours.get(number) ?? []);
    const { pieces, full } = readBoth(outputs, maxBuffer ?? 1024 * 1024);
    if (full) tryCall("kill", pid, SIGKILL);
    for (const fd of outputs) tryCall("close", fd);
    const ended = wait(pid, 0)!;
    const text = (number: number) => {
      const at = outputs.indexOf(ours.get(number) ?? -1);
      return at === -1 ? empty : asText(Buffer.concat(pieces[at]!));
    };
    const error = full ? { error: systemError(-105, `spawnSync ${file}`) } : {};
    return { pid, ...ended, status: ended.code, stdout: text(1), stderr: text(2), ...error };
  } catch (error) {
    return { pid: 0, code: null, status: null, signal: null, stdout: empty, stderr: empty, error: error as Error };
  }
}
