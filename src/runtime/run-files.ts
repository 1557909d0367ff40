import { join } from "node:path";

/** Where a container's root is mounted, in its own mount namespace, until it is its root. */
export function rootMountpointIn(execRoot: string): string {
  return join(execRoot, "rootfs");
}

/** The files of one process in its run directory. */
export function runFiles(runDirectory: string): { socket: string; exit: string } {
  return { socket: join(runDirectory, "supervisor.sock"), exit: join(runDirectory, "exit") };
}
