/** The paths of a container's run-time files. */
import { join } from "node:path";

/** The directory on which a container mounts its root, in its own mount namespace, before that becomes its root. */
export function rootMountpointIn(execRoot: string): string {
  return join(execRoot, "rootfs");
}

/** The files of one process in its run directory. */
export function runFiles(runDirectory: string): { socket: string; exit: string; notified: string; trace: string } {
  return {
    socket: join(runDirectory, "supervisor.sock"),
    exit: join(runDirectory, "exit"),
    notified: join(runDirectory, "notified"),
    trace: join(runDirectory, "trace"),
  };
}
