/** Stream sockets: `Bun.connect`, and node:net's `connect`. */

import { AF_INET, AF_UNIX, EAGAIN, F_GETFL, F_SETFL, SOCK_STREAM_CLOEXEC, SOL_SOCKET } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import { unixAddress } from "../linux/sys/unix-address.ts";
import { Buffer } from "./buffer.ts";
import type { None } from "./events.ts";
import { checkOptions } from "./given.ts";
import { call, host, systemError } from "./host.ts";
import { POLLIN, POLLOUT, unwatch, type Watch, watch } from "./loop.ts";
import { isNumeric } from "./numeric-host.ts";
import { Readable, Writable } from "./streams.ts";
import type { Unchecked } from "./unsupported.ts";

const SOCK_NONBLOCK = 0o4000;
const EINPROGRESS = -115;
const SO_ERROR = 4;
const SHUT_WR = 1;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

interface Target {
  unix?: string;
  hostname?: string;
  port?: number;
  /** Whether the end of the other side leaves ours open. */
  allowHalfOpen?: boolean;
  /** Only Bun has it. */
  tls?: Unchecked;
}

/** The struct sockaddr_in of a numeric IPv4 address, or of "localhost". */
function inetAddress(hostname: string, port: number): Uint8Array {
  const numbers = (hostname === "localhost" ? "127.0.0.1" : hostname).split(".").map(Number);
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  address.set(numbers, 4);
  return address;
}

/** Connects. @throws an error with the fields of Node's */
async function open({ unix, hostname = "", port = 0 }: Target): Promise<number> {
  if (unix === undefined && !isNumeric(hostname)) throw new Error(`the name "${hostname}" is resolved by Bun only`);
  const family = unix === undefined ? AF_INET : AF_UNIX;
  const fd = call("socket", family, SOCK_STREAM_CLOEXEC | SOCK_NONBLOCK, 0);
  try {
    const where = unix ?? `${hostname}:${port}`;
    const address = unix === undefined ? inetAddress(hostname, port) : unixAddress(unix);
    const rc = tryCall("connect", fd, address, address.length);
    if (unix === undefined) call("setsockopt", fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([1]), 4);
    if (rc === EINPROGRESS) await connected(fd, where);
    // The listener's queue is full: a blocking connect(2) would wait, and nothing tells when there is room.
    else if (rc === EAGAIN) connectBlocking(fd, address, where);
    else if (rc < 0) throw systemError(rc, "connect", where);
    return fd;
  } catch (error) {
    call("close", fd);
    throw error;
  }
}

function connectBlocking(fd: number, address: Uint8Array, where: string): void {
  const flags = call("fcntl", fd, F_GETFL, 0);
  call("fcntl", fd, F_SETFL, flags & ~SOCK_NONBLOCK);
  const rc = tryCall("connect", fd, address, address.length);
  call("fcntl", fd, F_SETFL, flags);
  if (rc < 0) throw systemError(rc, "connect", where);
}

function connected(fd: number, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const waiting = watch(fd, POLLOUT, () => {
      unwatch(waiting);
      const error = new Int32Array(1);
      call("getsockopt", fd, SOL_SOCKET, SO_ERROR, error, new Int32Array([4]));
      if (error[0] === 0) resolve();
      else reject(systemError(-error[0]!, "connect", where));
    });
  });
}

const READ_BYTES = 65536;

interface Handlers {
  data?: (socket: BunSocket, bytes: Buffer) => void;
  drain?: (socket: BunSocket) => void;
  end?: (socket: BunSocket) => void;
  close?: (socket: BunSocket) => void;
  error?: (socket: BunSocket, error: Error) => void;
  handshake?(...given: Unchecked[]): void;
}

const HANDLERS = ["data", "drain", "end", "close", "error"] as const satisfies (keyof Handlers)[];
const TARGET = ["unix", "hostname", "port", "allowHalfOpen"] as const satisfies (keyof Target)[];

/** Bun's socket with `allowHalfOpen`: `end` says that the other side sends no more. */
export class BunSocket {
  #watch: Watch;
  #reads = true;
  #wantsDrain = false;
  #closed = false;

  constructor(
    readonly fd: number,
    private readonly handlers: Handlers,
  ) {
    this.#watch = watch(fd, POLLIN, (events) => this.#ready(events));
  }

  static async connect<_Data>({ socket, ...target }: Target & { socket: Handlers }): Promise<BunSocket> {
    checkOptions("Bun.connect", target, TARGET);
    checkOptions("Bun.connect, socket", socket, HANDLERS);
    return new BunSocket(await open(target), socket);
  }

  #ready(events: number): void {
    if (this.#wantsDrain && (events & ~POLLIN) !== 0) {
      this.#wantsDrain = false;
      this.#update();
      this.handlers.drain?.(this);
    }
    if (this.#reads && (events & ~POLLOUT) !== 0 && !this.#closed) this.#read();
  }

  #read(): void {
    const room = new Uint8Array(READ_BYTES);
    const count = tryCall("read", this.fd, room, room.length);
    if (count === EAGAIN) return;
    if (count > 0) {
      const bytes = Buffer.from(room.buffer, 0, count);
      // A small piece does not keep all of the room.
      this.handlers.data?.(this, count < READ_BYTES / 4 ? Buffer.from(bytes) : bytes);
      return;
    }
    this.#reads = false;
    this.#update();
    if (count === 0) this.handlers.end?.(this);
    else {
      this.handlers.error?.(this, systemError(count, "read"));
      this.end();
    }
  }

  #update(): void {
    this.#watch.events = (this.#reads ? POLLIN : 0) | (this.#wantsDrain ? POLLOUT : 0);
    this.#watch.counted = !this.#closed;
    if (this.#watch.events === 0) unwatch(this.#watch);
    else if (!this.#closed) this.#watch = rewatched(this.#watch);
  }

  /** Returns how many bytes the kernel took; -1 if the connection is gone. "drain" follows if it did not take all. */
  write(data: string | Uint8Array): number {
    if (this.#closed) return -1;
    const bytes = typeof data === "string" ? new Uint8Array(host.encode(data)) : data;
    const count = bytes.length === 0 ? 0 : tryCall("write", this.fd, bytes, bytes.length);
    if (count < 0 && count !== EAGAIN) {
      this.handlers.error?.(this, systemError(count, "write"));
      this.end();
      return -1;
    }
    const taken = Math.max(0, count);
    if (taken < bytes.length) {
      this.#wantsDrain = true;
      this.#update();
    }
    return taken;
  }

  flush(): void {}

  pause(): void {
    this.#reads = false;
    this.#update();
  }

  resume(): void {
    this.#reads = true;
    this.#update();
  }

  ref(): void {
    this.#watch.counted = true;
  }

  unref(): void {
    this.#watch.counted = false;
  }

  shutdown(): void {
    if (!this.#closed) tryCall("shutdown", this.fd, SHUT_WR);
  }

  end(): number {
    if (this.#closed) return 0;
    this.#closed = true;
    unwatch(this.#watch);
    tryCall("close", this.fd);
    this.handlers.close?.(this);
    return 0;
  }

  terminate(): void {
    this.end();
  }
}

/** A watch that had been given up is made once more. */
function rewatched(old: Watch): Watch {
  unwatch(old);
  return watch(old.fd, old.events, old.ready);
}

type SocketEvents = { connect: None; data: [Buffer]; end: None; drain: None; close: None; error: [Error] };

/** node:net's Socket. It is closed when both sides have ended. */
export class Socket extends Writable<SocketEvents> {
  #input: Readable | undefined;
  #fd = -1;
  readonly #stays: boolean;
  #openSides = 2;
  readonly #early: ((bytes: Buffer) => unknown)[] = [];

  constructor(target: Target) {
    super(-1);
    this.#stays = target.allowHalfOpen === true;
    open(target).then(
      (fd) => this.#connected(fd),
      (error: unknown) => this.emit("error", error),
    );
  }

  #connected(fd: number): void {
    this.#fd = fd;
    this.attach(fd);
    const input = new Readable(fd);
    this.#input = input;
    input.on("error", (error: Error) => {
      this.destroy();
      this.emit("error", error);
    });
    input.on("end", () => {
      this.emit("end");
      this.#sideEnded();
      if (!this.#stays) this.end();
    });
    for (const call of this.#early) input.on("data", call);
    this.emit("connect");
  }

  override on<Name extends keyof SocketEvents>(event: Name, call: (...args: SocketEvents[Name]) => unknown): this {
    if (event !== "data") return super.on(event, call);
    const take = call as (bytes: Buffer) => unknown;
    if (this.#input === undefined) this.#early.push(take);
    else this.#input.on("data", take);
    return this;
  }

  override off<Name extends keyof SocketEvents>(event: Name, call: (...args: SocketEvents[Name]) => unknown): this {
    if (event !== "data") return super.off(event, call);
    this.#input?.off("data", call as (bytes: Buffer) => unknown);
    return this;
  }

  get _handle(): { fd: number } {
    return { fd: this.#fd };
  }

  pause(): this {
    this.#input?.pause();
    return this;
  }

  resume(): this {
    this.#input?.resume();
    return this;
  }

  /** Half-closes: what the other side still sends is read. */
  protected override finish(): void {
    tryCall("shutdown", this.#fd, SHUT_WR);
    this.#sideEnded();
  }

  #sideEnded(): void {
    if (--this.#openSides === 0) this.destroy();
  }

  override destroy(): this {
    if (this.destroyed) return this;
    this.#input?.destroy();
    super.destroy();
    if (this.#fd >= 0) tryCall("close", this.#fd);
    return this;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    if (this.#input !== undefined) yield* this.#input;
  }
}

interface ConnectOptions {
  path?: string;
  host?: string;
  port?: number;
  allowHalfOpen?: boolean;
}

export function connect(target: ConnectOptions | string, onConnect?: () => void): Socket {
  const options: ConnectOptions = typeof target === "string" ? { path: target } : target;
  checkOptions("connect", options, ["path", "host", "port", "allowHalfOpen"]);
  const { path, host: hostname = "localhost", port = 0, allowHalfOpen = false } = options;
  const socket = new Socket(path === undefined ? { hostname, port, allowHalfOpen } : { unix: path, allowHalfOpen });
  if (onConnect !== undefined) socket.once("connect", onConnect);
  return socket;
}
