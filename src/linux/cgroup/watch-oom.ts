import { closeSync, existsSync, openSync, watch } from "node:fs";
import { openEventFd } from "../sys/eventfd.ts";
import type { CgroupHost } from "./host.ts";
import { locateController, readHostText } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";
import { parseFlatKeyed } from "./stats.ts";
import { writeCgroupFile } from "./write-file.ts";

export interface OomWatch extends Disposable {
  /** Looks now: of what happened just before the watched cgroup goes, no word may have come yet. */
  check(): void;
}

/**
 * Calls `onOom` whenever the cgroup has run out of memory: on v2 for each process that the kernel killed for it, on v1
 * also when processes have to wait because killing is turned off. Without a memory controller, never.
 * Sources: cgroup-v2.rst, "memory.events" (changes are told to inotify); cgroup-v1/memory.rst, "OOM Control".
 */
export function watchOom(host: CgroupHost, cgroupsPath: string, onOom: () => void): OomWatch {
  const memory = locateController(host, "memory");
  const directory = `${memory?.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}`;
  if (memory === undefined) return { check() {}, [Symbol.dispose]() {} };
  const file = `${directory}/${memory.version === 1 ? "memory.oom_control" : "memory.events"}`;
  const before = countKills(file) ?? 0;
  let told = 0;
  const tell = () => {
    told++;
    onOom();
  };
  const check = () => {
    const kills = (countKills(file) ?? 0) - before; // 0: the cgroup has gone
    while (told < kills) tell();
  };
  if (memory.version === 1) return { check, [Symbol.dispose]: watchV1(directory, file, tell) };
  const watcher = watch(file, check);
  return { check, [Symbol.dispose]: () => watcher.close() };
}

function countKills(file: string): number | undefined {
  const text = readHostText(file);
  return text === undefined ? undefined : parseFlatKeyed(text).oom_kill;
}

/** The eventfd is signalled at each OOM, before the kernel kills and counts, and when the cgroup is removed. */
function watchV1(directory: string, file: string, tell: () => void): () => void {
  const control = `${directory}/cgroup.event_control`;
  const fileFd = openSync(file, "r");
  const event = openEventFd(() => {
    if (existsSync(control)) tell();
  });
  const close = () => {
    event[Symbol.dispose]();
    closeSync(fileFd);
  };
  try {
    writeCgroupFile(control, `${event.fd} ${fileFd}`, "ask to be told when memory runs out");
  } catch (error) {
    close();
    throw error;
  }
  return close;
}
