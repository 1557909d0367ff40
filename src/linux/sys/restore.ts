/** Calls that restoring a checkpoint needs and nothing else does. */

import { MS_BIND } from "../mount/flags.ts";
import { MNT_DETACH } from "./abi.ts";
import { check, tryCall } from "./door.ts";

const MS_REC = 0x4000;
const UMOUNT_NOFOLLOW = 8;

/** Shows the tree of mounts at `source` at `target`, too. (mount(2)) */
export function bindTree(source: string, target: string): void {
  check(tryCall("mount", source, target, null, MS_BIND | MS_REC, null), `mount(2) of "${source}"`);
}

/** Detaches the tree of mounts at `target`, even if it is in use. (umount2(2)) */
export function detachTree(target: string): void {
  check(tryCall("umount2", target, MNT_DETACH | UMOUNT_NOFOLLOW), `umount2(2) of "${target}"`);
}

/** Blocks until our child `pid` has ended, and returns its exit code, or 128 + the signal. (waitpid(2)) */
export function waitForChild(pid: number): number {
  const status = new Int32Array(1);
  check(tryCall("wait4", pid, status, 0, null), "waitpid(2)");
  const signal = status[0]! & 0x7f;
  return signal === 0 ? (status[0]! >> 8) & 0xff : 128 + signal;
}
