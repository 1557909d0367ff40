/** Compares the host's state before and after a test, to find what was left behind. */
import { expect } from "bun:test";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { CgroupHost } from "../../src/linux/cgroup/mod.ts";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";

/** Everything that a start could leave behind, without values that change by themselves (times, inode numbers). */
export interface HostSnapshot {
  mounts: string[];
  links: string[];
  /** The cgroups below the given parent, in every hierarchy. */
  cgroups: string[];
  /** This process's children: supervisors and any others. */
  children: string[];
  /** The files below the given directories: path, mode, owner, size. */
  files: string[];
  /** What this process's descriptors are open on. */
  fds: string[];
}

export interface SnapshotOf {
  host: CgroupHost;
  /** The parent cgroup, without a leading slash. */
  parent: string;
  directories: readonly string[];
}

function hostSnapshot({ host, parent, directories }: SnapshotOf): HostSnapshot {
  const mountPoints = [...host.v1, ...(host.v2 ? [host.v2] : [])].map(({ mountPoint }) => mountPoint);
  return {
    mounts: readFileSync("/proc/self/mountinfo", "utf8").split("\n"),
    links: linkNames(),
    cgroups: mountPoints.flatMap((mountPoint) => directoriesBelow(join(mountPoint, parent))),
    children: children(),
    files: directories.flatMap(filesBelow),
    fds: readdirSync("/proc/self/fd").flatMap(targetOf).sort(),
  };
}

/** Takes a snapshot when this process has only so many children left, all started by Bun (each has a pidfd). */
export async function quietSnapshot(of: SnapshotOf, children: number): Promise<HostSnapshot> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const snapshot = hostSnapshot(of);
    const pidfds = snapshot.fds.filter((target) => target === "anon_inode:[pidfd]").length;
    if (snapshot.children.length === children && pidfds === children) return snapshot;
    if (performance.now() > deadlineMs) throw new Error(`not ${children}: ${JSON.stringify(snapshot)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/**
 * Waits until the host is as it was; fails with the difference if that does not happen. The kernel frees what a process held a
 * moment after the process is seen to have ended.
 */
export async function expectSameHost(before: HostSnapshot, of: SnapshotOf): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs) {
    if (Bun.deepEquals(withoutClosedFds(hostSnapshot(of), before), before)) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(withoutClosedFds(hostSnapshot(of), before)).toEqual(before);
}

/** The snapshot with those fds of `before` that were closed since: descriptors that Bun closed late are no leak. */
function withoutClosedFds(now: HostSnapshot, before: HostSnapshot): HostSnapshot {
  const left = [...now.fds];
  const closed = before.fds.filter((target) => {
    const at = left.indexOf(target);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return { ...now, fds: [...now.fds, ...closed].sort() };
}

/** The names of the links in this thread's network namespace. */
export function linkNames(): string[] {
  using routes = new RouteSocket();
  return routes.links().map(({ name }) => name);
}

function directoriesBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [path, ...entries.flatMap(({ name }) => directoriesBelow(join(path, name)))];
}

function filesBelow(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true }).map(String).sort();
  return names.flatMap((name) => {
    const path = join(directory, name);
    const { mode, uid, gid, size } = lstatSync(path);
    return `${path} ${mode.toString(8)} ${uid}:${gid} ${size}`;
  });
}

function children(): string[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      const isOurs = new RegExp(`^PPid:\\s+${process.pid}$`, "m").test(status);
      return isOurs && !/^State:\s+[ZX]/m.test(status) ? [`${name} ${/^Name:\s+(.*)$/m.exec(status)?.[1]}`] : [];
    } catch {
      return []; // the process has just ended
    }
  });
}

/** What a descriptor is open on. The numbers of sockets and pipes are left out, because they differ each time. */
function targetOf(fd: string): string[] {
  try {
    return [
      readlinkSync(`/proc/self/fd/${fd}`)
        .replace(/\[\d+\]/, "[]")
        .replace(/^\/proc\/\d+\/.*/, "proc"),
    ];
  } catch {
    return []; // the descriptor of readdir itself
  }
}
