/** Starts the launcher on a program. */
import { closeSync, readSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { FIRST_CARRIED_FD } from "../program/format.ts";
import { errnoName } from "../sys/errno.ts";
import { createMemfd, duplicateFd } from "../sys/memfd.ts";
import type { PlayFailure } from "./supervisor.ts";

/** u32 type, u32 op index, u32 errno: struct record of launcher.h. */
const RECORD_BYTES = 12;

/** Runs the launcher on a program that makes no process, and waits for its end: see `startTask`. */
export function playTask(executableFd: number, program: Uint8Array): Promise<PlayFailure | undefined> {
  return startTask(executableFd, program, []).ended;
}

/**
 * Starts the launcher on a program that makes no process. `moreFds`: as with `spawnLauncher`. `ended` resolves with the op that failed,
 * if one did; its clean-up has then been done.
 * @throws LighterError ("kernel") if the launcher cannot be executed
 */
export function startTask(
  executableFd: number,
  program: Uint8Array,
  moreFds: readonly number[],
): { pid: number; ended: Promise<PlayFailure | undefined> } {
  const resultFd = createMemfd("result", new Uint8Array(0));
  try {
    const { pid, exited } = launch(executableFd, program, resultFd, moreFds);
    return { pid, ended: resultOf(exited, resultFd) };
  } catch (error) {
    closeSync(resultFd);
    throw error;
  }
}

async function resultOf(exited: Promise<number>, resultFd: number): Promise<PlayFailure | undefined> {
  try {
    const code = await exited;
    const record = new Uint8Array(RECORD_BYTES);
    const length = readSync(resultFd, record, 0, RECORD_BYTES, 0);
    // The launcher refused the program, or was killed.
    if (length !== RECORD_BYTES) return { opIndex: -1, errno: code === 1 ? "EPROTO" : "ECHILD" };
    const view = new DataView(record.buffer);
    const errno = view.getUint32(8, true);
    return errno === 0 ? undefined : { opIndex: view.getUint32(4, true), errno: errnoName(errno) };
  } finally {
    closeSync(resultFd);
  }
}

/**
 * Starts the launcher on a program, in a session of its own: it outlives this process. `executableFd` is a sealed memfd of the
 * launcher, `listenFd` the socket it serves, `moreFds` the fds it finds from FIRST_CARRIED_FD on; a number without one is kept
 * from other use. Returns its pid at once; everything else is said on the socket.
 * @throws LighterError ("kernel") if it cannot be executed, or there can be no more processes.
 */
export function spawnLauncher(
  executableFd: number,
  program: Uint8Array,
  listenFd: number,
  moreFds: readonly (number | undefined)[] = [],
): number {
  const child = launch(executableFd, program, listenFd, moreFds);
  child.unref();
  return child.pid;
}

function launch(
  executableFd: number,
  program: Uint8Array,
  listenFd: number,
  moreFds: readonly (number | undefined)[],
): Bun.Subprocess {
  const programFd = createMemfd("program", program);
  // The child's fds are set up one by one: none may have the number of another one that is still needed.
  const copies: number[] = [];
  const above = FIRST_CARRIED_FD + moreFds.length;
  const raised = (fd: number) => {
    if (fd >= above) return fd;
    const copy = duplicateFd(fd, above);
    copies.push(copy);
    return copy;
  };
  try {
    const carried = moreFds.map((fd) => raised(fd ?? programFd));
    return Bun.spawn([`/proc/self/fd/${raised(executableFd)}`], {
      argv0: "lighter-supervisor",
      stdio: [raised(programFd), "ignore", "ignore", raised(listenFd), ...carried] as unknown as [
        number,
        "ignore",
        "ignore",
      ],
      env: {},
      cwd: "/",
    });
  } catch (error) {
    const errno = errnoOf(error);
    throw new LighterError("kernel", `start the launcher: ${errno || messageOf(error)}`, { errno, cause: error });
  } finally {
    for (const copy of copies) closeSync(copy);
    closeSync(programFd);
  }
}
