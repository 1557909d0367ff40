/** Streams on file descriptors, with the part of node:stream's interface that is used here. */

import { EAGAIN, F_GETFL, F_SETFL } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import { type Buffer, viewOf } from "./buffer.ts";
import { EventEmitter, type EventMap, type None } from "./events.ts";
import { call, host, systemError } from "./host.ts";
import { POLLIN, POLLOUT, setImmediate, unwatch, type Watch, watch } from "./loop.ts";

const READ_BYTES = 65536;
const EPIPE = -32;
const EIO = -5;

/**
 * Reads while somebody listens to "data" or iterates, and not while paused. "end" comes once, when the writer is gone, then
 * "close".
 */
export class Readable extends EventEmitter<{ data: [Buffer]; end: None; close: None; error: [Error] }> {
  #watch: Watch | undefined;
  #paused = false;
  #ended = false;
  destroyed = false;

  constructor(
    readonly fd: number,
    private readonly release: () => void = () => {},
  ) {
    super();
  }

  protected override listenersChanged(): void {
    this.#update();
  }

  pause(): this {
    this.#paused = true;
    this.#update();
    return this;
  }

  resume(): this {
    this.#paused = false;
    this.#update();
    return this;
  }

  #update(): void {
    const wanted = !this.#paused && !this.#ended && !this.destroyed && this.listenerCount("data") > 0;
    if (wanted) this.#watch ??= watch(this.fd, POLLIN, () => this.#read());
    else {
      unwatch(this.#watch);
      this.#watch = undefined;
    }
  }

  #read(): void {
    const room = new Uint8Array(READ_BYTES);
    const count = tryCall("read", this.fd, room, room.length);
    if (count === EAGAIN) return;
    if (count > 0) {
      const bytes = viewOf(count < READ_BYTES / 2 ? new Uint8Array(room.subarray(0, count)) : room.subarray(0, count));
      this.emit("data", bytes);
    } else if (count === 0 || count === EIO) this.#end();
    else {
      const error = systemError(count, "read");
      this.destroy();
      this.emit("error", error);
    }
  }

  #end(): void {
    this.#ended = true;
    this.#update();
    this.emit("end");
    this.destroy();
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#update();
    this.release();
    setImmediate(() => this.emit("close"));
    return this;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const held: Buffer[] = [];
    let [ended, failure] = [false, undefined as { error: unknown } | undefined];
    let wake = () => {};
    const take = (bytes: Buffer) => {
      held.push(bytes);
      this.pause();
      wake();
    };
    this.once("close", () => {
      ended = true;
      wake();
    });
    this.on("error", (error) => {
      failure = { error };
      wake();
    });
    this.on("data", take);
    try {
      for (;;) {
        const next = held.shift();
        if (next !== undefined) yield next;
        else if (failure !== undefined) throw failure.error;
        else if (ended || this.destroyed) return;
        else {
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          this.resume();
          await woken;
        }
      }
    } finally {
      this.destroy();
    }
  }
}

interface Piece {
  bytes: Uint8Array;
  done: ((error?: Error | null) => void) | undefined;
}

const HIGH_WATER_BYTES = 16384;

type WritableEvents = { drain: None; close: None; error: [Error] };

/** Writes without blocking; the fd must be non-blocking. "drain" comes when what was held back has gone. */
export class Writable<Events extends EventMap & WritableEvents = WritableEvents> extends EventEmitter<Events> {
  readonly #held: Piece[] = [];
  #watch: Watch | undefined;
  #ending = false;
  destroyed = false;
  writableLength = 0;

  constructor(
    public fd: number,
    private readonly release: () => void = () => {},
  ) {
    super();
  }

  /** Gives it the fd for which it has waited. */
  protected attach(fd: number): void {
    this.fd = fd;
    if (this.#held.length > 0) this.#flush();
  }

  write(data: string | Uint8Array, done?: (error?: Error | null) => void): boolean {
    const bytes = typeof data === "string" ? new Uint8Array(host.encode(data)) : data;
    if (this.destroyed || this.#ending) {
      const error = systemError(EPIPE, "write");
      setImmediate(() =>
        done === undefined ? this.listenerCount("error") > 0 && this.emit("error", error) : done(error),
      );
      return false;
    }
    this.#held.push({ bytes, done });
    this.writableLength += bytes.length;
    if (this.#watch === undefined && this.fd >= 0) this.#flush();
    return this.writableLength < HIGH_WATER_BYTES;
  }

  end(data?: string | Uint8Array): this {
    if (this.#ending) return this;
    if (data !== undefined && data.length > 0) this.write(data);
    this.#ending = true;
    if (this.#held.length === 0) this.finish();
    return this;
  }

  /** What is done when all has been written and nothing more will be. */
  protected finish(): void {
    this.destroy();
  }

  #flush(): void {
    for (let piece = this.#held[0]; piece !== undefined; piece = this.#held[0]) {
      const count = piece.bytes.length === 0 ? 0 : tryCall("write", this.fd, piece.bytes, piece.bytes.length);
      if (count === EAGAIN) break;
      if (count < 0) {
        this.#fail(systemError(count, "write"));
        return;
      }
      this.writableLength -= count;
      piece.bytes = piece.bytes.subarray(count);
      if (piece.bytes.length > 0) break;
      this.#held.shift();
      piece.done?.(null);
    }
    const wasWaiting = this.#watch !== undefined;
    if (this.#held.length > 0) this.#watch ??= watch(this.fd, POLLOUT, () => this.#flush());
    else {
      unwatch(this.#watch);
      this.#watch = undefined;
      if (this.#ending) this.finish();
      else if (wasWaiting) this.emit("drain");
    }
  }

  #fail(error: Error): void {
    const held = this.#held.splice(0);
    this.writableLength = 0;
    this.destroy();
    const told = held.filter(({ done }) => done !== undefined);
    for (const { done } of told) done!(error);
    if (told.length === 0) setImmediate(() => this.listenerCount("error") > 0 && this.emit("error", error));
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    unwatch(this.#watch);
    this.#watch = undefined;
    this.release();
    setImmediate(() => this.emit("close"));
    return this;
  }
}

const O_NONBLOCK = 0o4000;

export function setNonBlocking(fd: number): void {
  call("fcntl", fd, F_SETFL, call("fcntl", fd, F_GETFL, 0) | O_NONBLOCK);
}
