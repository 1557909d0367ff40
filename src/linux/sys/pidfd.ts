import { check, libc } from "./libc.ts";

const SYS_PIDFD_OPEN = 434n; // on x86_64 and arm64

/** Names a process that lives, or is not reaped; the caller closes it. Source: pidfd_open(2). */
export function openPidfd(pid: number): number {
  return check(libc.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n, 0n), "pidfd_open(2)");
}
