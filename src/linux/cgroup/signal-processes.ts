/** Signals the processes of a cgroup one by one, and no others. */
import { closeSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { openPidfd, signalPidfd } from "../sys/pidfd.ts";
import { readPids } from "./stats.ts";

/** How many processes are signalled at a time: each takes an fd meanwhile. */
const BATCH_COUNT = 64;

/**
 * Sends a signal to the present processes of a cgroup and those below it, and returns how many were listed. By the time of the
 * signal, a pid that was read from a file may be another process's, one of the host's: so each process is held by a pidfd, and
 * must be listed once more, before it is signalled.
 */
export function signalProcesses(directory: string, signal: number, read = readPids): number {
  const pids = read(directory).filter((pid) => pid > 0); // 0: a process of another pid namespace
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

/**
 * Errors that mean the process has ended. EINVAL: the pid is a thread's by now (ENOENT since Linux 6.15). Source: pidfd_open(2).
 */
const ENDED: ReadonlySet<string> = new Set(["ESRCH", "EINVAL", "ENOENT"]);

function unlessEnded(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!ENDED.has(errnoOf(error))) throw error;
  }
}
