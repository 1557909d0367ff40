/** Calls that restoring a checkpoint needs and nothing else does. */

import { errnoOf } from "../../base/errors.ts";
import { MNT_DETACH } from "./abi.ts";
import { check, cString } from "./libc.ts";
import { libcSymbols } from "./symbols.ts";

const libc = libcSymbols({
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

const MS_BIND = 0x1000n;
const MS_REC = 0x4000n;
const UMOUNT_NOFOLLOW = 8;

/** Shows the tree of mounts at `source` at `target`, too. (mount(2)) */
export function bindTree(source: string, target: string): void {
  check(libc.mount(cString(source), cString(target), null, MS_BIND | MS_REC, null), `mount(2) of "${source}"`);
}

/** Detaches the tree of mounts at `target`, even if it is in use. (umount2(2)) */
export function detachTree(target: string): void {
  check(libc.umount2(cString(target), MNT_DETACH | UMOUNT_NOFOLLOW), `umount2(2) of "${target}"`);
}

/** Blocks until our child `pid` has ended, and returns its exit code, or 128 + the signal. (waitpid(2)) */
export function waitForChild(pid: number): number {
  const status = new Int32Array(1);
  for (;;) {
    try {
      check(libc.waitpid(pid, status, 0), "waitpid(2)");
      break;
    } catch (error) {
      if (errnoOf(error) !== "EINTR") throw error;
    }
  }
  const signal = status[0]! & 0x7f;
  return signal === 0 ? (status[0]! >> 8) & 0xff : 128 + signal;
}
