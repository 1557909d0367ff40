import { closeSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { FIRST_CARRIED_FD } from "../program/format.ts";
import { createMemfd, duplicateFd } from "../sys/memfd.ts";

/**
 * Runs the launcher on a program: a process of its own session that outlives this one. `executableFd` is a sealed memfd
 * of the launcher, `listenFd` the socket it serves, `moreFds` what it finds from FIRST_CARRIED_FD on; where
 * there is none, the number is kept from being used for another. Returns its pid at once; everything else is said on the socket.
 * @throws LighterError ("kernel") if it cannot be executed, or there can be no more processes.
 */
export function spawnLauncher(
  executableFd: number,
  program: Uint8Array,
  listenFd: number,
  moreFds: readonly (number | undefined)[] = [],
): number {
  const programFd = createMemfd("program", program);
  // The child's fds are set up one after the other: none may be where another one goes that is still needed.
  const copies: number[] = [];
  const above = FIRST_CARRIED_FD + moreFds.length;
  const raised = (fd: number) => {
    const copy = duplicateFd(fd, above);
    copies.push(copy);
    return copy;
  };
  try {
    const stdio =
      moreFds.length === 0
        ? [programFd, "ignore" as const, "ignore" as const, listenFd]
        : [
            raised(programFd),
            "ignore" as const,
            "ignore" as const,
            raised(listenFd),
            ...moreFds.map((fd) => raised(fd ?? programFd)),
          ];
    const executable = moreFds.length === 0 ? executableFd : raised(executableFd);
    const child = Bun.spawn([`/proc/self/fd/${executable}`], {
      argv0: "lighter-supervisor",
      stdio: stdio as [number, "ignore", "ignore", number],
      env: {},
      cwd: "/",
    });
    child.unref();
    return child.pid;
  } catch (error) {
    const errno = errnoOf(error);
    throw new LighterError("kernel", `start the launcher: ${errno || messageOf(error)}`, { errno, cause: error });
  } finally {
    for (const copy of copies) closeSync(copy);
    closeSync(programFd);
  }
}
