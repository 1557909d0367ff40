/** Passes fds of shared file systems to launchers, and gets them back from supervisors. */

import { closeSync, readlinkSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { FIRST_CARRIED_FD } from "../linux/program/format.ts";
import { AT_FDCWD } from "../linux/sys/abi.ts";
import { O_DIRECTORY, O_PATH, O_RDONLY, tryOpenat } from "../linux/sys/fs.ts";
import type { OciMount } from "../spec/oci-runtime.ts";
import { carriedFds, fdsToCarry } from "./stdio.ts";
import type { SharedFilesystem, StartRequest } from "./types.ts";

/** The number that the fd of a shared file system's namespace has in the launcher; the next number is its root. */
export function namespaceFdOf(request: StartRequest, index: number): number {
  return FIRST_CARRIED_FD + fdsToCarry(carriedFds(request)).length + 2 * index;
}

/** The fds in the order of their numbers, from the first one on. */
export function filesystemFds(request: StartRequest): number[] {
  return (request.filesystems ?? []).flatMap(({ namespaceFd, rootFd }) => [namespaceFd, rootFd]);
}

/**
 * Gets shared file system `index` of a start with nothing else to carry out of its supervisor; undefined if that has none. The
 * caller closes it, and makes sure that the process is the supervisor.
 */
export function openFilesystemOf(supervisorPid: number, index: number): SharedFilesystem | undefined {
  const fds = `/proc/${supervisorPid}/fd`;
  const first = FIRST_CARRIED_FD + 2 * index;
  return isMountNamespace(`${fds}/${first}`) ? open(`${fds}/${first}`, `${fds}/${first + 1}`) : undefined;
}

/**
 * A start, to be held and abandoned, whose root is the file system: it is mounted by mount(2), as Docker mounts a volume. Whoever
 * has opened it meanwhile (`openFilesystemAt`) keeps it.
 */
export function mountRequest(mount: Pick<OciMount, "type" | "source" | "options">, runDirectory: string): StartRequest {
  return {
    id: "volume",
    config: {
      ociVersion: "1.2.0",
      process: { args: ["/"], cwd: "/" },
      root: { path: "" },
      linux: { namespaces: [{ type: "mount" }] },
    },
    rootfs: [{ destination: "/", ...mount }],
    runDirectory,
    stdio: { terminal: false, stdin: false },
    attach: [],
    filesOnly: true,
  };
}

/** Opens the file system of a process whose "/" it is, with no other in its mount namespace. The caller closes it. */
export function openFilesystemAt(pid: number): SharedFilesystem | undefined {
  return open(`/proc/${pid}/ns/mnt`, `/proc/${pid}/root`);
}

/** Closes our fds of it. */
export function closeFilesystem({ namespaceFd, rootFd }: SharedFilesystem): void {
  closeSync(namespaceFd);
  closeSync(rootFd);
}

function isMountNamespace(path: string): boolean {
  try {
    return readlinkSync(path).startsWith("mnt:[");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false; // the process ends, or is an older Lighter's
    throw error;
  }
}

function open(namespacePath: string, rootPath: string): SharedFilesystem | undefined {
  const namespaceFd = tryOpenat(AT_FDCWD, namespacePath, O_RDONLY);
  const rootFd = tryOpenat(AT_FDCWD, rootPath, O_PATH | O_DIRECTORY);
  if (namespaceFd >= 0 && rootFd >= 0) return { namespaceFd, rootFd };
  for (const fd of [namespaceFd, rootFd]) if (fd >= 0) closeSync(fd);
  return undefined;
}
