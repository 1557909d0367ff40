/** Makes files that belong to another user. */

import { LighterError } from "../../base/errors.ts";
import { check } from "./libc.ts";
import { libcSymbols } from "./symbols.ts";

const libc = libcSymbols({
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  setfsuid: { args: ["u32"], returns: "i32" },
  setfsgid: { args: ["u32"], returns: "i32" },
});

const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
const SECBIT_NO_SETUID_FIXUP = 4n;
/** An id that is none: the call changes nothing and returns the current id. */
const ASK = 0xffff_ffff;

/**
 * Runs `act` so that the files it makes belong to these ids; our rights stay. `act` is synchronous and must not start a process,
 * which would have those ids. Affects this thread only.
 * Sources: setfsuid(2), which returns no errors; capabilities(7), "SECBIT_NO_SETUID_FIXUP".
 */
export function makingFilesAs<T>(uid: number, gid: number, act: () => T): T {
  const bits = BigInt(check(libc.prctl(PR_GET_SECUREBITS, 0n, 0n, 0n, 0n), "prctl(PR_GET_SECUREBITS)"));
  const set = (value: bigint) => check(libc.prctl(PR_SET_SECUREBITS, value, 0n, 0n, 0n), "prctl(PR_SET_SECUREBITS)");
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
  libc.setfsgid(gid);
  libc.setfsuid(uid);
  if (libc.setfsgid(ASK) >>> 0 !== gid || libc.setfsuid(ASK) >>> 0 !== uid)
    throw new LighterError("kernel", `setfsuid(2): cannot be ${uid}:${gid} for making files`);
}
