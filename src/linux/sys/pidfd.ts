/** pidfds, which name one process for good, where a pid may become another's. */
import { check, tryCall } from "./door.ts";

/** Opens a pidfd for a process that lives or is a zombie; the caller closes it. Source: pidfd_open(2). */
export function openPidfd(pid: number): number {
  return check(tryCall("pidfd_open", pid, 0), "pidfd_open(2)");
}

/** Sends a signal. @throws with ESRCH if the process has ended. Source: pidfd_send_signal(2). */
export function signalPidfd(pidfd: number, signal: number): void {
  check(tryCall("pidfd_send_signal", pidfd, signal, null, 0), "pidfd_send_signal(2)");
}
