/** Notices when a cgroup runs out of memory, without polling. */
import { closeSync, existsSync, openSync, watch } from "node:fs";
import { openEventFd, takeSignals } from "../sys/eventfd.ts";
import type { CgroupHost } from "./host.ts";
import { locateController, readHostText } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";
import { parseFlatKeyed } from "./stats.ts";
import { writeCgroupFile } from "./write-file.ts";

/** The kernel's number for "no limit" is at least this: the largest number of whole pages in 63 bits. */
const NO_LIMIT_BYTES = 1n << 62n;

export interface OomWatch extends Disposable {
  /** Looks now. Before the watched cgroup is removed, this finds OOM kills of which no notice has come yet. */
  check(): void;
}

/**
 * Calls `onOom` whenever the cgroup has run out of memory: on v2 for each process that the kernel killed for it, on v1 also when
 * processes have to wait because killing is turned off. Without a memory controller it is never called.
 * Sources: cgroup-v2.rst, "memory.events" (changes are told to inotify); cgroup-v1/memory.rst, "OOM Control".
 * With `fromBirth` it is also called for what happened in the cgroup earlier. It is never called before this function has
 * returned.
 */
export function watchOom(host: CgroupHost, cgroupsPath: string, onOom: () => void, fromBirth = false): OomWatch {
  const memory = locateController(host, "memory");
  const directory = `${memory?.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}`;
  if (memory === undefined) return { check() {}, [Symbol.dispose]() {} };
  const file = `${directory}/${memory.version === 1 ? "memory.oom_control" : "memory.events"}`;
  const before = fromBirth ? 0 : (countKills(file) ?? 0);
  let told = 0;
  const tell = () => {
    told++;
    onOom();
  };
  const check = () => {
    const kills = (countKills(file) ?? 0) - before; // 0: the cgroup has gone
    while (told < kills) tell();
  };
  if (memory.version === 1) {
    const { event, isSignalled } = watchV1(directory, file, tell);
    queueMicrotask(() => {
      check();
      if (isSignalled && told === 0) tell(); // the kernel has not counted yet
    });
    return { check, [Symbol.dispose]: () => event[Symbol.dispose]() };
  }
  const watcher = watch(file, check);
  queueMicrotask(check);
  return { check, [Symbol.dispose]: () => watcher.close() };
}

function countKills(file: string): number | undefined {
  const text = readHostText(file);
  return text === undefined ? undefined : parseFlatKeyed(text).oom_kill;
}

/**
 * Calls `tell` when the eventfd is signalled: at each OOM, before the kernel kills and counts, and when the cgroup is removed.
 * `isSignalled` says that it has been signalled already; `tell` is not called for that.
 */
function watchV1(directory: string, file: string, tell: () => void): { event: Disposable; isSignalled: boolean } {
  const control = `${directory}/cgroup.event_control`;
  let isSignalled = false;
  const ask = (eventFd: number) => {
    const fileFd = openSync(file, "r"); // open only until the kernel has read which file it is
    try {
      writeCgroupFile(control, `${eventFd} ${fileFd}`, "ask to be told when memory runs out");
    } finally {
      closeSync(fileFd);
    }
    isSignalled = takeSignals(eventFd);
  };
  const onSignal = () => {
    if (existsSync(control)) tell();
  };
  const event = openEventFd(onSignal, ask);
  return { event, isSignalled };
}

/**
 * Whether the cgroup's memory is limited, so that there is something to watch. On v1, where watching takes an fd, it is false
 * without a limit or if the cgroup has gone; on v2, where it takes none, always true.
 */
export function mayRunOut(host: CgroupHost, cgroupsPath: string): boolean {
  const memory = locateController(host, "memory");
  if (memory?.version !== 1) return memory !== undefined;
  const text = readHostText(`${memory.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/memory.stat`);
  if (text === undefined) return false; // the cgroup has gone
  const limit = /^hierarchical_memory_limit (\d+)$/m.exec(text)?.[1];
  return limit === undefined || BigInt(limit) < NO_LIMIT_BYTES;
}
