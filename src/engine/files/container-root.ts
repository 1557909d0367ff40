/** Opens a container's "/", with its mounts, to read or write its files from outside (`docker cp`). */

import { closeSync, rmSync } from "node:fs";
import { ZERO_TIME } from "../../base/time.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import { bytePath, kernelError, O_DIRECTORY, O_PATH, tryOpenat } from "../../linux/sys/fs.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { markedForRemoval } from "../errors.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import type { VolumesInUse } from "../volumes/volumes-in-use.ts";

/**
 * Calls `use` with an O_PATH fd of the root.
 *
 * A running container's root is its init's, in /proc. Another container's is mounted for the time of the call: by the same
 * program as for a start, in a mount namespace of its own, whose only process waits where it would execute the container's. It
 * dies with its supervisor, and that with us, so no mount outlives the call; and nothing of the container's ever runs. Meanwhile
 * the container cannot be started: two overlays over one upper directory are one too many.
 */
export async function withContainerRoot<T>(
  engine: Engine,
  container: Container,
  use: (rootFd: number) => Promise<T>,
): Promise<T> {
  const rootFd = await openRunningRoot(container);
  if (rootFd !== undefined) return await using(rootFd, use);
  return await container.queue.run(async () => {
    const { record } = container;
    if (record.status === "removing") throw markedForRemoval(record.id);
    const startedMeanwhile = await openRunningRoot(container);
    if (startedMeanwhile !== undefined) return await using(startedMeanwhile, use);
    await container.supervised?.gone; // until then its own overlay may be there
    using volumes = await engine.planner.prepareMounts(record, record.startedAt === ZERO_TIME);
    return await withMountedRoot(engine, record, engine.paths.view(record.id), use, volumes.filesystems);
  });
}

async function using<T>(rootFd: number, use: (rootFd: number) => Promise<T>): Promise<T> {
  try {
    return await use(rootFd);
  } finally {
    closeSync(rootFd);
  }
}

/**
 * Opens the root of a running container; undefined if it does not run. A pid can go to another process at any time, so the order
 * matters: /proc/PID is opened, and stays that process's; then the supervisor, which alone can reap its child, says that it has
 * not yet done so.
 */
async function openRunningRoot({ record, isRunning, supervised }: Container): Promise<number | undefined> {
  if (!isRunning || supervised === undefined) return undefined;
  const processFd = tryOpenat(AT_FDCWD, `/proc/${record.pid}`, O_PATH | O_DIRECTORY);
  if (processFd < 0) return undefined;
  try {
    const EXISTS = 0;
    if (!(await supervised.signal(EXISTS))) return undefined;
    const rootFd = tryOpenat(processFd, "root", O_PATH | O_DIRECTORY);
    return rootFd < 0 ? undefined : rootFd;
  } finally {
    closeSync(processFd);
  }
}

/** Mounts the root file system of what does not run, and calls `use` with its fd. */
async function withMountedRoot<T>(
  engine: Engine,
  record: ContainerRecord,
  paths: ContainerPaths,
  use: (rootFd: number) => Promise<T>,
  filesystems: VolumesInUse["filesystems"] = [],
): Promise<T> {
  const { runDirectory } = paths;
  try {
    const waiting = await engine.runtime.create({
      id: record.id,
      ...(await engine.planner.planFiles(record, paths)),
      filesystems,
      runDirectory,
      stdio: { terminal: false, stdin: false },
      attach: [],
      filesOnly: true,
    });
    try {
      const rootFd = tryOpenat(AT_FDCWD, bytePath(`/proc/${waiting.pid}/root`), O_PATH | O_DIRECTORY);
      if (rootFd < 0) throw kernelError(rootFd, `open the root of container ${record.id}`);
      return await using(rootFd, use);
    } finally {
      await waiting.abandon();
    }
  } finally {
    rmSync(runDirectory, { recursive: true, force: true });
  }
}
