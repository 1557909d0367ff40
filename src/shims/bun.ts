/** The global `Bun`. */

import type { SignalName } from "../base/signals.ts";
import { F_DUPFD_CLOEXEC, MONOTONIC } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import type { Buffer } from "./buffer.ts";
import { findProgram, OPTIONS, type SpawnOptions, start, whenEnded } from "./child-process.ts";
import { CryptoHasher } from "./crypto.ts";
import { existsSync } from "./fs.ts";
import { checkOptions } from "./given.ts";
import { call } from "./host.ts";
import { setTimeout } from "./loop.ts";
import { processShim } from "./process.ts";
import { signalNumber } from "./signals.ts";
import { BunSocket } from "./socket.ts";
import { Readable } from "./streams.ts";
import { refuse } from "./unsupported.ts";

type Read = { done: false; value: Buffer } | { done: true; value: undefined };

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
    return done ? { done, value: undefined } : { done: false, value };
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

/** Without pipes, which node:child_process has. */
function spawn(argv: readonly string[], options: SpawnOptions<readonly ("ignore" | "inherit" | number)[]>) {
  checkOptions("Bun.spawn", options, OPTIONS);
  const { argv0 = argv[0]! } = options;
  const { pid } = start(argv[0]!, [argv0, ...argv.slice(1)], options);
  const { promise: exited, resolve } = Promise.withResolvers<number>();
  const watching = whenEnded(pid, ({ code, signal }) => resolve(code ?? 128 + signalNumber(signal ?? "SIGKILL")));
  return {
    pid,
    exited,
    kill: (signal: SignalName | number = "SIGTERM") =>
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
  connect: BunSocket.connect,
  spawn,
  file,
  sleep: (ms: number) => new Promise<void>((resolve) => void setTimeout(() => resolve(), ms)),
  sleepSync,
  which: (name: string): string | null => findProgram(name, processShim.env.PATH) ?? null,
  stdin: { stream: () => new ByteStream(processShim.stdin) },
  CryptoHasher,
  YAML: { parse: refuse },
  gzipSync: refuse,
};
