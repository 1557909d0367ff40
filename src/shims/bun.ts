/** The global `Bun`. */
import { F_DUPFD_CLOEXEC, MONOTONIC } from "../linux/sys/abi.ts";
import type { Buffer } from "./buffer.ts";
import { findProgram, type SpawnOptions, start, whenEnded } from "./child-process.ts";
import { CryptoHasher } from "./crypto.ts";
import { call, tryCall } from "./door.ts";
import { existsSync } from "./fs.ts";
import { setTimeout } from "./loop.ts";
import { signalNumber } from "./signals.ts";
import { BunSocket, type Target } from "./socket.ts";
import { Readable } from "./streams.ts";

interface Read {
  done: boolean;
  value: Buffer | undefined;
}

/** The reader of a stream: one piece a call, and nothing is read before it is asked for. */
class Reader {
  readonly #pieces: AsyncIterator<Buffer>;
  readonly #source: Readable;

  constructor(source: Readable) {
    this.#source = source;
    this.#pieces = source[Symbol.asyncIterator]();
  }

  async read(): Promise<Read> {
    const { done, value } = await this.#pieces.next();
    return { done: done === true, value: done ? undefined : value };
  }

  async cancel(): Promise<void> {
    this.#source.destroy();
  }

  releaseLock(): void {}
}

class ByteStream {
  constructor(private readonly source: Readable) {}
  getReader(): Reader {
    return new Reader(this.source);
  }
  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return this.source[Symbol.asyncIterator]();
  }
}

/** A file by its path, or a stream of an fd, which gets a duplicate of its own. */
function file(given: string | number) {
  return {
    exists: async () => typeof given === "string" && existsSync(given),
    stream() {
      if (typeof given === "string") throw new Error("a path has no stream here");
      const fd = call("fcntl", given, F_DUPFD_CLOEXEC, 3);
      return new ByteStream(new Readable(fd, () => void tryCall("close", fd)));
    },
  };
}

function spawn(argv: readonly string[], { stdio, ...options }: SpawnOptions) {
  const { argv0 = argv[0]! } = options;
  const { pid } = start(argv[0]!, [argv0, ...argv.slice(1)], {
    ...options,
    stdio: stdio ?? ["ignore", "pipe", "inherit"],
  });
  const { promise: exited, resolve } = Promise.withResolvers<number>();
  const watching = whenEnded(pid, ({ code, signal }) => resolve(code ?? 128 + signalNumber(signal ?? "")));
  return {
    pid,
    exited,
    kill: (signal: string | number = "SIGTERM") =>
      void tryCall("kill", pid, typeof signal === "number" ? signal : signalNumber(signal)),
    ref() {
      watching.counted = true;
    },
    unref() {
      watching.counted = false;
    },
  };
}

function sleepSync(ms: number): void {
  const ns = BigInt(Math.round(ms * 1e6));
  tryCall("clock_nanosleep", MONOTONIC, 0, new BigInt64Array([ns / 1_000_000_000n, ns % 1_000_000_000n]), null);
}

export const bunShim = {
  version: "",
  connect: (target: Target & { socket: never }) => BunSocket.connect(target),
  spawn,
  file,
  sleep: (ms: number) => new Promise<void>((resolve) => void setTimeout(() => resolve(), ms)),
  sleepSync,
  which: (name: string): string | null => findProgram(name, process.env.PATH) ?? null,
  stdin: { stream: () => new ByteStream(process.stdin as unknown as Readable) },
  CryptoHasher,
};
