/** The event loop: timers, file descriptors, and one ppoll(2) for all of them. */

import { MONOTONIC, POLLIN, POLLOUT } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import { host } from "./host.ts";

export { POLLIN, POLLOUT };

const POLLFD_BYTES = 8;

/** Something that is waited for. What is not `counted` does not keep the process alive. */
interface Awaited {
  counted: boolean;
}

interface Watch extends Awaited {
  readonly fd: number;
  events: number;
  readonly ready: (events: number) => void;
}

export class Timer implements Awaited {
  counted = true;
  dueMs = 0;
  constructor(
    readonly run: () => void,
    readonly everyMs: number | undefined,
  ) {}
  ref(): this {
    this.counted = true;
    return this;
  }
  unref(): this {
    this.counted = false;
    return this;
  }
  hasRef(): boolean {
    return this.counted;
  }
  close(): this {
    timers.delete(this);
    return this;
  }
  [Symbol.dispose](): void {
    timers.delete(this);
  }
}

const timers = new Set<Timer>();
const watches = new Set<Watch>();
let immediates: (() => void)[] = [];

export function nowMs(): number {
  const timespec = new BigInt64Array(2);
  tryCall("clock_gettime", MONOTONIC, timespec);
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/** Calls `ready` whenever `fd` is ready for `events` (POLLIN, POLLOUT, 0), has failed or was hung up on. */
export function watch(fd: number, events: number, ready: (events: number) => void): Watch {
  const made: Watch = { fd, events, ready, counted: true };
  watches.add(made);
  return made;
}

export function unwatch(watch: Watch | undefined): void {
  if (watch !== undefined) watches.delete(watch);
}

export type { Watch };

type Work = (...args: never[]) => void;

function addTimer(run: () => void, ms: number, repeats: boolean): Timer {
  const waits = ms >= 1 && ms <= 2 ** 31 - 1 ? ms : 1;
  const timer = new Timer(run, repeats ? waits : undefined);
  timer.dueMs = nowMs() + waits;
  timers.add(timer);
  return timer;
}

export function setTimeout(run: Work, ms = 0, ...args: unknown[]): Timer {
  return addTimer(() => run(...(args as never[])), ms, false);
}

export function setInterval(run: Work, ms = 0, ...args: unknown[]): Timer {
  return addTimer(() => run(...(args as never[])), ms, true);
}

export function clearTimeout(timer: unknown): void {
  timers.delete(timer as Timer);
}

/** Calls `run` when what is ready now has been done. */
export function setImmediate(run: Work, ...args: unknown[]): void {
  immediates.push(() => run(...(args as never[])));
}

function isAnythingAwaited(): boolean {
  if (immediates.length > 0) return true;
  for (const timer of timers) if (timer.counted) return true;
  for (const watch of watches) if (watch.counted) return true;
  return false;
}

/** What is due is done one by one: the microtasks of each come before the next. */
const due: (() => void)[] = [];

function fillDue(): void {
  const first = immediates;
  immediates = [];
  due.push(...first);
  const waiting = [...watches];
  const pollfds = new DataView(new ArrayBuffer(POLLFD_BYTES * waiting.length));
  waiting.forEach(({ fd, events }, i) => {
    pollfds.setInt32(POLLFD_BYTES * i, fd, true);
    pollfds.setInt16(POLLFD_BYTES * i + 4, events, true);
  });
  const nextMs = Math.min(...[...timers].map(({ dueMs }) => dueMs));
  const now = nextMs === Number.POSITIVE_INFINITY ? 0 : nowMs();
  const count = tryPoll(pollfds, waiting.length, first.length > 0 ? 0 : nextMs - now);
  if (count > 0)
    waiting.forEach((each, i) => {
      const events = pollfds.getInt16(POLLFD_BYTES * i + 6, true);
      // It may have been given up by what was done before it.
      if (events !== 0) due.push(() => void (watches.has(each) && each.ready(events)));
    });
  if (nextMs === Number.POSITIVE_INFINITY) return;
  const after = nowMs();
  const late = [...timers].filter(({ dueMs }) => dueMs <= after).sort((a, b) => a.dueMs - b.dueMs);
  for (const timer of late) due.push(() => void (timers.has(timer) && fire(timer)));
}

/** Waits for `waitMs`, which may be infinite. An interruption counts as nothing that is ready. */
function tryPoll(pollfds: DataView, count: number, waitMs: number): number {
  const bytes = new Uint8Array(pollfds.buffer);
  if (waitMs === Number.POSITIVE_INFINITY) return tryCall("ppoll", bytes, count, null, null, 0);
  const ns = BigInt(Math.ceil(Math.max(0, waitMs) * 1e6));
  const timespec = new BigInt64Array([ns / 1_000_000_000n, ns % 1_000_000_000n]);
  return tryCall("ppoll", bytes, count, timespec, null, 0);
}

function fire(timer: Timer): void {
  if (timer.everyMs === undefined) timers.delete(timer);
  else timer.dueMs = nowMs() + timer.everyMs;
  timer.run();
}

/** Does one thing that is due, and waits for it if there is none. False: nothing is left to wait for. */
function turn(): boolean {
  if (due.length === 0) {
    if (!isAnythingAwaited()) return false;
    fillDue();
  }
  due.shift()?.();
  return true;
}

host.onIdle(turn);
