/** Files that are in memory alone, and executables that nobody can change. */

import { closeSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { F_DUPFD_CLOEXEC } from "./abi.ts";
import { check, tryCall } from "./door.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_EXEC = 0x10;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE */
const ALL_SEALS = 0xf;

/** Duplicates an fd to the first free number from `from` on, close-on-exec; the caller closes it. Source: fcntl(2). */
export function duplicateFd(fd: number, from: number): number {
  return check(tryCall("fcntl", fd, F_DUPFD_CLOEXEC, from), "fcntl(F_DUPFD_CLOEXEC)");
}

/** Makes an anonymous file with these bytes; the caller closes it. Source: memfd_create(2). */
export function createMemfd(name: string, bytes: Uint8Array): number {
  return filled(check(tryCall("memfd_create", name, MFD_CLOEXEC), "memfd_create(2)"), bytes);
}

/**
 * Makes an executable that nobody can change: not through /proc/PID/exe, not through an inherited fd (CVE-2019-5736).
 * The caller closes it; processes that run it keep it alive.
 */
export function createSealedExecutable(name: string, bytes: Uint8Array): number {
  const fd = filled(createExecutableMemfd(name), bytes);
  check(tryCall("fcntl", fd, F_ADD_SEALS, ALL_SEALS), "fcntl(F_ADD_SEALS)");
  return fd;
}

function createExecutableMemfd(name: string): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  try {
    return check(tryCall("memfd_create", name, flags | MFD_EXEC), "memfd_create(2)");
  } catch (error) {
    if (errnoOf(error) === "EACCES")
      throw new LighterError("not-supported", "this host does not allow executable memfds", {
        hint: "set the sysctl vm.memfd_noexec to 0 or 1",
        cause: error,
      });
    if (errnoOf(error) !== "EINVAL") throw error;
    return check(tryCall("memfd_create", name, flags), "memfd_create(2)"); // MFD_EXEC is new in Linux 6.3
  }
}

function filled(fd: number, bytes: Uint8Array): number {
  try {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.subarray(done);
      done += check(tryCall("write", fd, rest, rest.length), "write(2) to a memfd");
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
