import { join } from "node:path";

/** The files of one process in its run directory. */
export function runFiles(runDirectory: string): { socket: string; exit: string } {
  return { socket: join(runDirectory, "supervisor.sock"), exit: join(runDirectory, "exit") };
}
