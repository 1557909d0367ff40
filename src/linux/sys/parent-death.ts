/** Helper processes end with the process that started them. */
import { SIGKILL } from "../../base/signals.ts";
import { check, tryCall } from "./door.ts";

const PR_SET_PDEATHSIG = 1;

/**
 * Lets the kernel kill this process when the thread that started it ends: even a killed daemon leaves no worker running.
 * The caller must check whether the parent died before this call. Source: PR_SET_PDEATHSIG(2const).
 */
export function dieWithParent(): void {
  check(tryCall("prctl", PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG)");
}
