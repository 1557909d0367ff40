/** Plugins that a killed daemon has left running: a note beside the attachment tells which that may be. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { KILLED_PROGRAM_WAIT_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { readProcessStat } from "../../linux/process/process-stat.ts";

interface Program {
  pid: number;
  /** As in ProcessStat. */
  startTime: number;
}

/** Notes a program that leads a group of processes. Without the note it works as well. */
export function noteProgram(path: string, pid: number): void {
  try {
    writeFileSync(path, JSON.stringify({ pid, startTime: readProcessStat(pid)?.startTime }), { mode: 0o600 });
  } catch (error) {
    log.warn(`write "${path}": ${messageOf(error)}`);
  }
}

/** Kills the noted program with what it has started, if it still runs, waits for its end, and removes the note. */
export async function endNotedProgram(path: string): Promise<void> {
  const program = readNote(path);
  if (program !== undefined && isRunning(program)) {
    killGroup(program.pid);
    const deadline = performance.now() + KILLED_PROGRAM_WAIT_MS;
    while (isRunning(program) && performance.now() < deadline) await sleep(5);
  }
  rmSync(path, { force: true });
}

/** Undefined also for one that is not whole: that program was not told yet what to do. */
function readNote(path: string): Program | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function isRunning({ pid, startTime }: Program): boolean {
  const stat = readProcessStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== "Z";
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}
