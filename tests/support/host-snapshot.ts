import { expect } from "bun:test";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { CgroupHost } from "../../src/linux/cgroup/mod.ts";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";

/** Everything that a start could leave behind. Values that change by themselves (times, inode numbers) are not in it. */
export interface HostSnapshot {
  mounts: string[];
  links: string[];
  /** Below the given parent cgroup, in every hierarchy. */
  cgroups: string[];
  /** Of this process: supervisors, and whatever else is its child. */
  children: string[];
  /** Below the given directories: path, mode, owner, size. */
  files: string[];
  /** Of this process: what they are open on. */
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

/** As soon as this process has so many children left, all of which have been started by Bun (each has a pidfd). */
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
 * Waits until the host is as it was, and fails with the difference if that does not come about: the kernel frees what a
 * process held a moment after the process is seen to have ended.
 */
export async function expectSameHost(before: HostSnapshot, of: SnapshotOf): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs) {
    if (Bun.deepEquals(withoutClosedFds(hostSnapshot(of), before), before)) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(withoutClosedFds(hostSnapshot(of), before)).toEqual(before);
}

/** With the fds of `before` that have been closed since added again: what Bun was late to close is no leak. */
function withoutClosedFds(now: HostSnapshot, before: HostSnapshot): HostSnapshot {
  const left = [...now.fds];
  const closed = before.fds.filter((target) => {
    const at = left.indexOf(target);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return { ...now, fds: [...now.fds, ...closed].sort() };
}

/** Of the network namespace that this thread is in. */
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
      return []; // it has just ended
    }
  });
}

/** Numbers of sockets and pipes differ each time. */
function targetOf(fd: string): string[] {
  try {
    return [
      readlinkSync(`/proc/self/fd/${fd}`)
        .replace(/\[\d+\]/, "[]")
        .replace(/^\/proc\/\d+\/.*/, "proc"),
    ];
  } catch {
    return []; // readdir's own
  }
}
