/** Makes files that belong to another user. */

import { LighterError } from "../../base/errors.ts";
import { SECBIT_NO_SETUID_FIXUP } from "./abi.ts";
import { check, tryCall } from "./door.ts";

const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
/** An id that is none: the call changes nothing and returns the current id. */
const ASK = 0xffff_ffff;

/**
 * Runs `act` so that the files it makes belong to these ids; our rights stay. `act` is synchronous and must not start a process,
 * which would have those ids. Affects this thread only.
 * Sources: setfsuid(2), which returns no errors; capabilities(7), "SECBIT_NO_SETUID_FIXUP".
 */
export function makingFilesAs<T>(uid: number, gid: number, act: () => T): T {
  const bits = check(tryCall("prctl", PR_GET_SECUREBITS), "prctl(PR_GET_SECUREBITS)");
  const set = (value: number) => check(tryCall("prctl", PR_SET_SECUREBITS, value), "prctl(PR_SET_SECUREBITS)");
  set(bits | SECBIT_NO_SETUID_FIXUP);
  try {
    setIds(uid, gid);
    return act();
  } finally {
    setIds(0, 0);
    set(bits);
  }
}

function setIds(uid: number, gid: number): void {
  tryCall("setfsgid", gid);
  tryCall("setfsuid", uid);
  if (tryCall("setfsgid", ASK) !== gid || tryCall("setfsuid", ASK) !== uid)
    throw new LighterError("kernel", `setfsuid(2): cannot be ${uid}:${gid} for making files`);
}
