import { closeSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { createMemfd } from "../sys/memfd.ts";

/**
 * Runs the launcher on a program: a process of its own session that outlives this one. `executableFd` is a sealed memfd
 * of the launcher, `listenFd` the socket it serves, `moreFds` what it finds from FIRST_CARRIED_FD on. Returns its pid at once; everything else is said on the socket.
 * @throws LighterError ("kernel") if it cannot be executed, or there can be no more processes.
 */
export function spawnLauncher(
  executableFd: number,
  program: Uint8Array,
  listenFd: number,
  moreFds: readonly (number | "ignore")[] = [],
): number {
  const programFd = createMemfd("program", program);
  try {
    const child = Bun.spawn([`/proc/self/fd/${executableFd}`], {
      argv0: "lighter-supervisor",
      stdio: [programFd, "ignore", "ignore", listenFd, ...moreFds],
      env: {},
      cwd: "/",
    });
    child.unref();
    return child.pid;
  } catch (error) {
    const errno = errnoOf(error);
    throw new LighterError("kernel", `start the launcher: ${errno || messageOf(error)}`, { errno, cause: error });
  } finally {
    closeSync(programFd);
  }
}
