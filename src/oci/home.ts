/** Sets HOME for every process whose environment lacks it, as runc does: callers such as Docker rely on that. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { PASSWD_MAX_BYTES } from "../base/limits.ts";
import type { OciMount, OciProcess } from "../spec/oci-runtime.ts";

/**
 * Returns `process` with the HOME that the container's /etc/passwd has for the user, or "/" if it has none.
 * @param root The container's root directory; symbolic links in it cannot lead out of it.
 * @param mounts The mounts still to be made there: a file that covers /etc/passwd counts.
 */
export async function withHome(
  process: OciProcess,
  root: string,
  mounts: readonly OciMount[] = [],
): Promise<OciProcess> {
  const { env = [], user } = process;
  if ((env.findLast((variable) => variable.startsWith("HOME=")) ?? "HOME=") !== "HOME=") return process;
  const cover = mounts.findLast(({ destination, source }) => destination === "/etc/passwd" && source !== undefined);
  const passwd = cover?.source ? await readWithin("/", cover.source) : await readWithin(root, "/etc/passwd");
  const home = `HOME=${homeOf(passwd, user?.uid ?? 0)}`;
  return { ...process, env: [...env.filter((variable) => !variable.startsWith("HOME=")), home] };
}

/** The user's home directory in the text of a passwd file. Source: passwd(5). */
export function homeOf(passwd: string, uid: number): string {
  for (const line of passwd.split("\n")) {
    const [, , id, , , home] = line.trim().split(":");
    if (home && id !== undefined && /^\d+$/.test(id) && Number(id) === uid) return home;
  }
  return "/";
}

/** The file's text; "" if it is no regular file, or too large for a file of users. */
async function readWithin(root: string, path: string): Promise<string> {
  const { RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, tryOpenat2 } = await import("../linux/sys/fs.ts");
  const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  let fd = -1;
  try {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    fd = tryOpenat2(rootFd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (fd < 0) return "";
    const stats = fstatSync(fd);
    return stats.isFile() && stats.size <= PASSWD_MAX_BYTES ? readFileSync(fd, "utf8") : "";
  } finally {
    if (fd >= 0) closeSync(fd);
    closeSync(rootFd);
  }
}
