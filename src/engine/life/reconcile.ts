/** What a new daemon does about the containers of an earlier one. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { log } from "../../base/log.ts";
import { formatRfc3339 } from "../../base/time.ts";
import type { Supervised } from "../../runtime/types.ts";
import type { MountPoint } from "../config/mounts.ts";
import { Container } from "../container.ts";
import { Endpoints } from "../endpoints/endpoints.ts";
import type { Engine } from "../engine.ts";
import type { ContainerRecord } from "../state/record.ts";
import type { VolumesInUse } from "../volumes/volumes-in-use.ts";
import { finishRemoval } from "./removal.ts";
import { compressLog, recordExit, recordLoss, startOf, supervise } from "./run.ts";
import { cleanUp, endProcessOf } from "./run-directory.ts";

/** Makes the state agree with the processes that are there. */
export async function reconcile(engine: Engine): Promise<void> {
  const containers = engine.store.all().map((record) => new Container(record, engine.events, engine.store));
  engine.networks.open();
  for (const { record } of containers) engine.userNamespaces.claim(record);
  engine.volumes.open(containers.flatMap(({ record }) => volumesToKeep(record)));
  for (const container of containers) if (container.record.status !== "removing") engine.containers.add(container);
  await Promise.all(containers.map((container) => reconcileOne(engine, container)));
  await engine.execs.reconcile((id) => engine.containers.get(id));
  await engine.networks.restore();
  engine.endpoints.openLinks();
}

/** Ends processes that belong to no known container. */
export async function endUnknown(engine: Engine): Promise<void> {
  const known = new Set(engine.store.all().map(({ id }) => engine.paths.runName(id)));
  for (const name of readdirSync(engine.paths.runDirectories)) {
    if (known.has(name)) continue;
    const directory = join(engine.paths.runDirectories, name);
    await endProcessOf(engine.runtime, directory);
    rmSync(directory, { recursive: true, force: true });
    log.error(`container ${name}… is lost: there is no copy of what it was; it was ended`);
  }
}

async function reconcileOne(engine: Engine, container: Container): Promise<void> {
  const { record } = container;
  if (record.status === "removing") {
    const found = await engine.runtime.reconnect(engine.paths.runDirectory(record.id));
    if (found === "lost") await cleanUp(engine, record);
    else if ("gone" in found) container.supervised = found; // still cleaning up: its files go after it
    engine.inBackground(`remove container ${record.id}`, finishRemoval(engine, container));
    return;
  }
  await container.queue.run(() => adopt(engine, container));
}

/** Makes the row agree with the process. The container's queue is held. */
async function adopt(engine: Engine, container: Container): Promise<void> {
  const { record } = container;
  const found = await engine.runtime.reconnect(engine.paths.runDirectory(record.id));
  if (found === "lost") {
    if (container.isRunning) await recordLoss(engine, container, "it died without an exit record");
    // The last daemon died in the middle of a start, and the start with it.
    else {
      if (existsSync(engine.paths.runDirectory(record.id))) await cleanUp(engine, record);
      clearNetworking(engine, container);
      compressLog(engine, container);
    }
    return;
  }
  if ("exited" in found) {
    // Not running by the row: the last daemon died between the start and its write.
    const running = { ...(container.isRunning ? {} : startOf(record)), pid: found.pid };
    container.remember(running);
    await engine.endpoints.adopt(container);
    container.changeOrLater({ ...running, networking: record.networking });
    supervise(engine, container, found, await adoptVolumes(engine, record, found));
    return;
  }
  // The record of a run that is written down already, or of one that is not.
  if (container.isRunning || record.finishedAt !== formatRfc3339(found.finishedAtNs))
    recordExit(engine, container, found);
  else clearNetworking(engine, container);
  // What was said while there was no daemon.
  engine.logForwarder.begin(container, engine.paths.container(container.id));
  compressLog(engine, container);
}

function adoptVolumes(engine: Engine, record: ContainerRecord, supervised: Supervised): Promise<VolumesInUse> {
  const EXISTS = 0;
  return engine.mountedVolumes.adopt(record, () => supervised.signal(EXISTS));
}

/** Clears the networks of a start that has failed. */
function clearNetworking(engine: Engine, container: Container): void {
  const { networking } = container.record;
  if (!networking.endpoints.some(({ state }) => state !== undefined)) return;
  container.changeOrLater({ networking: Endpoints.cleared(networking) });
  engine.endpoints.end(container, networking, false);
}

/** Returns the volumes that must be kept: a named volume of a container that is being removed may have been removed, too. */
function volumesToKeep({ status, mountPoints }: ContainerRecord): MountPoint[] {
  return status === "removing" ? mountPoints.filter(({ volume }) => volume?.anonymous) : mountPoints;
}
