/** Signals, read from a signalfd(2): those that somebody listens to are blocked. */

import { SIGNALS } from "../base/signals.ts";
import { SIG_BLOCK, SIG_UNBLOCK, SIGSET_BYTES } from "../linux/sys/abi.ts";
import { call, tryCall } from "./door.ts";
import { EventEmitter } from "./events.ts";
import { POLLIN, type Watch, watch } from "./loop.ts";

const SIGINFO_BYTES = 128;
const SFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;

const emitter = new EventEmitter();
let heard = 0n;
let signalFd = -1;
/** It does not keep the process alive. */
let watching: Watch | undefined;

export function signalNumber(name: string): number {
  return SIGNALS[name.replace(/^SIG/, "")] ?? 0;
}

export function signalName(number: number): NodeJS.Signals | undefined {
  const name = Object.keys(SIGNALS).find((each) => SIGNALS[each] === number);
  return name === undefined ? undefined : (`SIG${name}` as NodeJS.Signals);
}

function setHeard(signals: bigint): void {
  const added = signals & ~heard;
  const removed = heard & ~signals;
  heard = signals;
  if (added !== 0n) call("rt_sigprocmask", SIG_BLOCK, new BigUint64Array([added]), null, SIGSET_BYTES);
  signalFd = call("signalfd4", signalFd, new BigUint64Array([heard]), SIGSET_BYTES, SFD_NONBLOCK_CLOEXEC);
  if (watching === undefined) {
    watching = watch(signalFd, POLLIN, read);
    watching.counted = false;
  }
  if (removed !== 0n) call("rt_sigprocmask", SIG_UNBLOCK, new BigUint64Array([removed]), null, SIGSET_BYTES);
}

function read(): void {
  const info = new Uint8Array(SIGINFO_BYTES);
  if (tryCall("read", signalFd, info, info.length) !== SIGINFO_BYTES) return;
  const number = new DataView(info.buffer).getUint32(0, true);
  const name = signalName(number);
  if (name !== undefined) emitter.emit(name, name, number);
}

const bit = (name: string) => 1n << BigInt(signalNumber(name) - 1);

export function onSignal(name: string, listener: (...args: never[]) => unknown): void {
  emitter.on(name, listener);
  setHeard(heard | bit(name));
}

export function offSignal(name: string, listener: (...args: never[]) => unknown): void {
  emitter.off(name, listener);
  if (emitter.listenerCount(name) === 0 && (heard & bit(name)) !== 0n) setHeard(heard & ~bit(name));
}

const SIGPIPE = 13;

/** Gives it its usual effect, for a program that takes our place. */
export function restoreSigpipe(): void {
  call("rt_sigaction", SIGPIPE, new BigUint64Array(4), null, SIGSET_BYTES);
}
