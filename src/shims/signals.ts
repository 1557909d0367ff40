/** Signals, read from a signalfd(2): those that somebody listens to are blocked. */

import { SIGNALS, type SignalName } from "../base/signals.ts";
import { SIG_BLOCK, SIG_UNBLOCK, SIGSET_BYTES } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import { EventEmitter } from "./events.ts";
import { lookUp } from "./given.ts";
import { call } from "./host.ts";
import { POLLIN, type Watch, watch } from "./loop.ts";

const SIGINFO_BYTES = 128;
const SFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;

type Listener = (name: SignalName, number: number) => unknown;

const emitter = new EventEmitter<Record<SignalName, [SignalName, number]>>();
let heard = 0n;
let signalFd = -1;
/** It does not keep the process alive. */
let watching: Watch | undefined;

/** @throws TypeError for a name that is no signal's */
export function signalNumber(name: SignalName): number {
  return lookUp("signals", SIGNALS, name.replace(/^SIG/, ""));
}

export function signalName(number: number): SignalName | undefined {
  const found = Object.entries(SIGNALS).find(([, each]) => each === number);
  return found && (`SIG${found[0]}` as SignalName);
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

const bit = (name: SignalName) => 1n << BigInt(signalNumber(name) - 1);

export function onSignal(name: SignalName, listener: Listener): void {
  setHeard(heard | bit(name));
  emitter.on(name, listener);
}

export function offSignal(name: SignalName, listener: Listener): void {
  emitter.off(name, listener);
  if (emitter.listenerCount(name) === 0 && (heard & bit(name)) !== 0n) setHeard(heard & ~bit(name));
}
