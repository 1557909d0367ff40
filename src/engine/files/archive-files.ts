/** In a file worker: files below a container's root. Paths are resolved inside it by the kernel, and used by fd. */
import { accessSync, closeSync, constants, fstatSync, readdirSync, readlinkSync, statfsSync } from "node:fs";
import { posix } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { LISTED_FILES_MAX } from "../../base/limits.ts";
import { formatRfc3339 } from "../../base/time.ts";
import { decodeError } from "../../base/wire-error.ts";
import { type JobContext, writeOutput } from "../../files/mod.ts";
import { LiveExtractor, writeFileTar } from "../../image/mod.ts";
import {
  type BytePath,
  bytePath,
  ELOOP,
  ENOENT,
  ENOTDIR,
  kernelError,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  readlinkFd,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFSOCK,
  showPath,
  tryOpenat,
  tryOpenat2,
} from "../../linux/sys/fs.ts";
import { idTranslations } from "../userns/id-mappings.ts";
import type { DirectoryListing, PathStat, ReadFilesArgument, Target, WriteFilesArgument } from "./file-jobs.ts";
import { readIncoming } from "./incoming-tar.ts";

export function statFilesBelow(rootFd: number, target: Target): PathStat {
  const fd = openTarget(rootFd, target);
  try {
    return describe(rootFd, fd, target);
  } finally {
    closeSync(fd);
  }
}

export function listFilesBelow(rootFd: number, target: Target, beat: () => void): DirectoryListing {
  const directory = openTarget(rootFd, { ...target, path: bytePath(`${target.path.replace(/\/?$/, "/")}.`) });
  try {
    const names = readdirSync(`/proc/self/fd/${directory}`, { encoding: "latin1" }).sort();
    const entries = names.slice(0, LISTED_FILES_MAX).flatMap((name) => {
      beat();
      const path = bytePath(posix.join(target.path, name));
      const fd = tryOpenat(directory, name, O_PATH | O_NOFOLLOW);
      if (fd < 0) return []; // it has gone
      try {
        return [describe(rootFd, fd, { ...target, path })];
      } finally {
        closeSync(fd);
      }
    });
    return { entries, isComplete: names.length <= LISTED_FILES_MAX };
  } finally {
    closeSync(directory);
  }
}

export function readFilesBelow(
  rootFd: number,
  { target, idMappings, takesFiles }: ReadFilesArgument,
  context: JobContext,
): null {
  const fd = openTarget(rootFd, target);
  let stat: PathStat;
  try {
    stat = describe(rootFd, fd, target);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const name = bytePath(stat.name === "." ? "./" : stat.name);
  return writeOutput(
    context,
    stat,
    writeFileTar(fd, name, isKernelFilesystem, { ids: idTranslations(idMappings), beat: context.beat, takesFiles }),
  );
}

/** Unpacks a tar, compressed or not, into the directory. */
export async function writeFilesBelow(
  [rootFd, inputFd, firstFd]: readonly number[],
  { target, keepKinds, owner, idMappings, refusal, form }: WriteFilesArgument,
  beat: () => void,
): Promise<null> {
  const path = bytePath(posix.resolve("/", target.asGiven));
  requireDirectory(rootFd!, { ...target, path }, (fd) => {
    if (refusal !== undefined) throw decodeError(refusal);
    requireWritable(rootFd!, fd);
  });
  const ids = idTranslations(idMappings);
  const extractor = new LiveExtractor(rootFd!, path, { keepKinds, ...(owner === undefined ? {} : { owner }), ids });
  try {
    await readIncoming({ fd: inputFd!, form, firstFd }, extractor, beat);
    extractor.finish();
    return null;
  } finally {
    extractor.close();
  }
}

const resolveInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/** Opens a target with O_PATH. A symlink at the end is opened itself, unless a slash follows. */
function openTarget(rootFd: number, target: Target): number {
  const follow = target.path.endsWith("/") || target.path.endsWith("/.");
  const fd = tryOpenat2(rootFd, target.path, follow ? O_PATH | O_DIRECTORY : O_PATH | O_NOFOLLOW, resolveInRoot);
  if (fd < 0) throw cannotOpen(fd, target);
  if (isKernelFilesystem(fd)) {
    closeSync(fd);
    throw cannotOpen(ENOENT, target);
  }
  return fd;
}

function cannotOpen(errno: number, { asGiven, containerRef, path }: Target): LighterError {
  // A link into /proc/PID may lead anywhere, so here it leads nowhere.
  if (errno === ENOENT || errno === ELOOP)
    return new LighterError("not-found", `Could not find the file ${asGiven} in container ${containerRef}`);
  // Text and status are Docker's.
  if (errno === ENOTDIR) return new LighterError("kernel", `lstat ${showPath(path)}: not a directory`);
  return kernelError(errno, `open "${showPath(path)}"`);
}

function requireDirectory(rootFd: number, target: Target, check: (fd: number) => void): void {
  const fd = tryOpenat2(rootFd, target.path, O_PATH, resolveInRoot);
  if (fd < 0) throw cannotOpen(fd, target);
  try {
    if (!fstatSync(fd).isDirectory()) throw new LighterError("internal", "extraction point is not a directory");
    if (isKernelFilesystem(fd)) throw cannotOpen(ENOENT, target);
    check(fd);
  } finally {
    closeSync(fd);
  }
}

/** Refuses, in Docker's words, a directory that a link has led to on a read-only mount: an empty tar would not meet it. */
function requireWritable(rootFd: number, fd: number): void {
  try {
    accessSync(`/proc/self/fd/${fd}`, constants.W_OK);
  } catch (error) {
    if (errnoOf(error) !== "EROFS") throw error;
    const where = fstatSync(fd).dev === fstatSync(rootFd).dev ? "container rootfs" : "mounted volume";
    throw new LighterError("internal", `${where} is marked read-only`);
  }
}

/** File systems that show the kernel's data, not the container's; reading some of it never ends. Source: linux/magic.h. */
const KERNEL_FILESYSTEMS: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x1cd1, // devpts
  0x19800202, // mqueue
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0xcafe4a11, // bpf
]);

function isKernelFilesystem(fd: number): boolean {
  return KERNEL_FILESYSTEMS.has(statfsSync(`/proc/self/fd/${fd}`).type);
}

function describe(rootFd: number, fd: number, { path }: Target): PathStat {
  const stat = fstatSync(fd, { bigint: true });
  return {
    name: showPath(path.endsWith("/.") ? "." : posix.basename(path) || "/"),
    size: Number(stat.size),
    mode: goFileMode(Number(stat.mode)),
    mtime: formatRfc3339(stat.mtimeNs > 0n ? stat.mtimeNs : 0n),
    linkTarget: stat.isSymbolicLink() ? showPath(linkTargetOf(rootFd, fd, path)) : "",
  };
}

/** Returns where a link leads in the end, from the container's root; if nothing is there, the link's text. */
function linkTargetOf(rootFd: number, linkFd: number, path: BytePath): string {
  const target = posix.resolve("/", posix.dirname(path), readlinkFd(linkFd));
  const fd = tryOpenat2(rootFd, target, O_PATH, resolveInRoot);
  if (fd < 0) return target;
  try {
    const real = readlinkSync(`/proc/self/fd/${fd}`, { encoding: "latin1" });
    return real.startsWith("/") ? real : target;
  } finally {
    closeSync(fd);
  }
}

/** The kinds of files: S_IFMT of stat(2), and the bits of os.FileMode. Source: inode(7), Go's io/fs. */
const GO_KINDS: ReadonlyMap<number, number> = new Map([
  [S_IFDIR, 2 ** 31],
  [S_IFLNK, 2 ** 27],
  [S_IFBLK, 2 ** 26],
  [S_IFIFO, 2 ** 25],
  [S_IFSOCK, 2 ** 24],
  [S_IFCHR, 2 ** 26 + 2 ** 21],
]);

/** The bits set-user-id, set-group-id and sticky. */
const GO_BITS: readonly (readonly [bit: number, go: number])[] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

/** Converts a mode to Go's: the permissions, and one bit for each of the rest, from the top. */
export function goFileMode(mode: number): number {
  const special = GO_BITS.filter(([bit]) => (mode & bit) !== 0).reduce((sum, [, go]) => sum + go, 0);
  return (mode & 0o777) + special + (GO_KINDS.get(mode & S_IFMT) ?? 0);
}
