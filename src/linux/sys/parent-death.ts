/** Helper processes end with the process that started them. */
import { SIGKILL } from "../../base/signals.ts";
import { check, libc } from "./libc.ts";

const PR_SET_PDEATHSIG = 1n;
const SYS_PRCTL = process.arch === "arm64" ? 167n : 157n;

/**
 * Lets the kernel kill this process when the thread that started it ends: even a killed daemon leaves no worker running.
 * The caller must check whether the parent died before this call. Source: PR_SET_PDEATHSIG(2const).
 */
export function dieWithParent(): void {
  check(libc.syscall(SYS_PRCTL, PR_SET_PDEATHSIG, BigInt(SIGKILL), 0n, 0n, 0n), "prctl(PR_SET_PDEATHSIG)");
}
