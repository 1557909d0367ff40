/** Files of a container, from outside: `docker cp`. Paths are resolved inside its root by the kernel, and used by fd. */
import { closeSync, fstatSync, readlinkSync, statfsSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { formatRfc3339 } from "../base/time.ts";
import { decompressStream, LiveExtractor, TarReader, writeFileTar } from "../image/mod.ts";
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
  tryOpenat2,
} from "../linux/sys/fs.ts";
import type { Container } from "./container.ts";
import { withContainerRoot } from "./container-root.ts";
import type { Engine } from "./engine.ts";
import { idTranslations } from "./userns/id-mappings.ts";

/** As Docker's clients know it; `mode` is Go's os.FileMode. */
export interface PathStat {
  name: string;
  size: number;
  mode: number;
  mtime: string;
  linkTarget: string;
}

export interface WriteOptions {
  /** A directory may not become something else, nor the other way round. */
  keepKinds: boolean;
  /** Files belong to the container's user, not to whom the tar says. */
  ownedByUser: boolean;
}

/** What a request asks for. */
interface Target {
  /** As the client wrote it, for messages. */
  asGiven: string;
  /** From the container's root: clean, but for a "/" or "/." at its end, which follows a symlink there. */
  path: BytePath;
  /** The container, as the client named it. */
  containerRef: string;
}

/** @param containerRef the container as the client named it, for messages */
export async function statFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
): Promise<PathStat> {
  const target = parseTarget(asGiven, containerRef);
  return await withContainerRoot(engine, container, async (rootFd) => {
    const fd = openTarget(rootFd, target);
    try {
      return describe(rootFd, fd, target);
    } finally {
      closeSync(fd);
    }
  });
}

/** The files are the container's until `receive` is done with them: of one that does not run they are mounted so long. */
export async function readFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
  receive: (stat: PathStat, tar: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const target = parseTarget(asGiven, containerRef);
  await withContainerRoot(engine, container, async (rootFd) => {
    const fd = openTarget(rootFd, target);
    let isTaken = false;
    async function* tarOf(name: string): AsyncGenerator<Uint8Array> {
      isTaken = true;
      const ids = idTranslations(container.record.idMappings);
      yield* writeFileTar(fd, bytePath(name === "." ? "./" : name), isKernelFilesystem, ids);
    }
    try {
      const stat = describe(rootFd, fd, target);
      container.publish("archive-path");
      await receive(stat, tarOf(stat.name));
    } finally {
      if (!isTaken) closeSync(fd);
    }
  });
}

/** Unpacks `tar`, compressed or not, into the directory. */
export async function writeFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
  tar: AsyncIterable<Uint8Array>,
  { keepKinds, ownedByUser }: WriteOptions,
): Promise<void> {
  const target = parseTarget(asGiven, containerRef);
  const { record } = container;
  await withContainerRoot(engine, container, async (rootFd) => {
    const path = bytePath(posix.resolve("/", asGiven));
    requireDirectory(rootFd, { ...target, path });
    requireWritable(container, asGiven);
    const owner =
      ownedByUser && record.config.User
        ? engine.planner.findUser(record, engine.paths.container(record.id), record.config.User)
        : undefined;
    const extractor = new LiveExtractor(rootFd, path, {
      keepKinds,
      ...(owner === undefined ? {} : { owner: { uid: owner.uid, gid: owner.gid } }),
      ids: idTranslations(record.idMappings),
    });
    try {
      const reader = new TarReader(extractor);
      for await (const chunk of decompressStream(tar)) reader.push(chunk);
      reader.end();
      extractor.finish();
      container.publish("extract-to-dir");
    } finally {
      extractor.close();
    }
  });
}

function parseTarget(asGiven: string, containerRef: string): Target {
  if (asGiven.includes("\0")) throw new LighterError("invalid", "bad parameter: path has a NUL character");
  const clean = posix.resolve("/", asGiven);
  const end = /(^|\/)\.$/.test(asGiven) ? "/." : asGiven.endsWith("/") ? "/" : "";
  return { asGiven, containerRef, path: bytePath(clean === "/" ? `/${end === "/." ? "." : ""}` : clean + end) };
}

const resolveInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/** O_PATH. A symlink at the end is opened itself, unless a slash follows. */
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
  // A link into /proc/PID may lead anywhere, so it leads nowhere here.
  if (errno === ENOENT || errno === ELOOP)
    return new LighterError("not-found", `Could not find the file ${asGiven} in container ${containerRef}`);
  // Docker's text, and its status.
  if (errno === ENOTDIR) return new LighterError("kernel", `lstat ${showPath(path)}: not a directory`);
  return kernelError(errno, `open "${showPath(path)}"`);
}

function requireDirectory(rootFd: number, target: Target): void {
  const fd = tryOpenat2(rootFd, target.path, O_PATH, resolveInRoot);
  if (fd < 0) throw cannotOpen(fd, target);
  try {
    if (!fstatSync(fd).isDirectory()) throw new LighterError("internal", "extraction point is not a directory");
    if (isKernelFilesystem(fd)) throw cannotOpen(ENOENT, target);
  } finally {
    closeSync(fd);
  }
}

/** By the path as it was given, as Docker does; where links lead elsewhere, the kernel says the same. */
function requireWritable({ record }: Container, asGiven: string): void {
  const path = posix.resolve("/", asGiven);
  const holds = (destination: string) => path === destination || path.startsWith(`${destination}/`);
  const point = record.mountPoints.findLast(({ destination }) => holds(destination));
  if (point?.readOnly) throw new LighterError("internal", "mounted volume is marked read-only");
  if (point === undefined && record.hostConfig.ReadonlyRootfs)
    throw new LighterError("internal", "container rootfs is marked read-only");
}

/** Source: linux/magic.h. What they show is the kernel's, not the container's; reading some of it never ends. */
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

/** Where it leads in the end, from the container's root. What is not there is told by the link's text. */
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

/** S_IFMT of stat(2), and what os.FileMode has for it. Source: inode(7), Go's io/fs. */
const GO_KINDS: ReadonlyMap<number, number> = new Map([
  [S_IFDIR, 2 ** 31],
  [S_IFLNK, 2 ** 27],
  [S_IFBLK, 2 ** 26],
  [S_IFIFO, 2 ** 25],
  [S_IFSOCK, 2 ** 24],
  [S_IFCHR, 2 ** 26 + 2 ** 21],
]);

/** Set-user-id, set-group-id, sticky. */
const GO_BITS: readonly (readonly [bit: number, go: number])[] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

/** The permissions, and one bit for each of the rest, from the top. */
export function goFileMode(mode: number): number {
  const special = GO_BITS.filter(([bit]) => (mode & bit) !== 0).reduce((sum, [, go]) => sum + go, 0);
  return (mode & 0o777) + special + (GO_KINDS.get(mode & S_IFMT) ?? 0);
}
