/** pidfds, which name one process for good, where a pid may become another's. */
import { check, libc } from "./libc.ts";

// The call's number on x86_64 and arm64.
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;

/** Opens a pidfd for a process that lives or is a zombie; the caller closes it. Source: pidfd_open(2). */
export function openPidfd(pid: number): number {
  return check(libc.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n, 0n), "pidfd_open(2)");
}

/** Sends a signal. @throws with ESRCH if the process has ended. Source: pidfd_send_signal(2). */
export function signalPidfd(pidfd: number, signal: number): void {
  check(libc.syscall(SYS_PIDFD_SEND_SIGNAL, BigInt(pidfd), BigInt(signal), 0n, 0n, 0n), "pidfd_send_signal(2)");
}
