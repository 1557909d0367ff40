import { closeSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { openPidfd, signalPidfd } from "../sys/pidfd.ts";
import { readPids } from "./stats.ts";

/** Each takes an fd meanwhile. */
const BATCH_COUNT = 64;

/**
 * Sends a signal to the processes of a cgroup and those below it, as they are now. A number that is read from a file may be another
 * process's by the time of the signal, one of the host's: so each is held by a pidfd, and listed once more, before it is signalled.
 * Returns how many were listed.
 */
export function signalProcesses(directory: string, signal: number, read = readPids): number {
  const pids = read(directory).filter((pid) => pid > 0); // 0: of a pid namespace that is not ours
  for (let start = 0; start < pids.length; start += BATCH_COUNT)
    signalBatch(() => read(directory), pids.slice(start, start + BATCH_COUNT), signal);
  return pids.length;
}

function signalBatch(list: () => number[], pids: readonly number[], signal: number): void {
  const held = new Map<number, number>();
  try {
    for (const pid of pids) unlessEnded(() => held.set(pid, openPidfd(pid)));
    const listed = new Set(list());
    for (const [pid, fd] of held) if (listed.has(pid)) unlessEnded(() => signalPidfd(fd, signal));
  } finally {
    for (const fd of held.values()) closeSync(fd);
  }
}

/** A number that is a thread's by now was a process that has ended. Source: pidfd_open(2); since Linux 6.15 that is ENOENT. */
const ENDED: ReadonlySet<string> = new Set(["ESRCH", "EINVAL", "ENOENT"]);

function unlessEnded(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!ENDED.has(errnoOf(error))) throw error;
  }
}
