/** The removal of a container, from the moment that its row says so. */
import { writePoint } from "../../base/write-point.ts";
import type { Container } from "../container.ts";
import { logFailure } from "../endpoints/attempt.ts";
import type { Engine } from "../engine.ts";
import type { ContainerRecord } from "../state/record.ts";
import { clearRunDirectory } from "./run-directory.ts";

/** Marks a container as removed. Its queue is held and it does not run. */
export function markRemoved(engine: Engine, container: Container, removeVolumes: boolean): void {
  container.changeOrLater({ status: "removing", pid: 0, removeVolumes });
  goOnRemoving(engine, container);
}

/** Goes on with the removal of a container whose row says that it is removed. */
export function goOnRemoving(engine: Engine, container: Container): void {
  const { record } = container;
  engine.containers.delete(container);
  engine.endpoints.forgetKept(record.id);
  engine.execs.forgetAll(container);
  for (const attach of container.pendingAttaches) attach.deliver(undefined);
  try {
    removeVolumes(engine, record); // now, as whoever asked for the removal may look right after it
  } catch (error) {
    logFailure(`remove the volumes of container ${record.id}`, error); // to be tried once more in the background
  }
  container.publish("destroy");
  container.notifyRemoved();
  engine.inBackground(`remove container ${record.id}`, finishRemoval(engine, container));
}

function removeVolumes(engine: Engine, { removeVolumes, mountPoints }: ContainerRecord): void {
  if (removeVolumes) engine.volumes.removeAnonymous(mountPoints);
}

/** Finishes a removal. The row goes last: as long as it exists, the next daemon knows what is left to do. */
export async function finishRemoval(engine: Engine, container: Container): Promise<void> {
  await container.supervised?.gone;
  await engine.logForwarder.finish(container);
  await engine.logCompressor.finish(container);
  writePoint("remove run directory");
  // In the queue: the end of the run may be removing it at this moment, and must not find half of it gone.
  await container.queue.run(() => clearRunDirectory(engine, container.record));
  writePoint("remove directory");
  await engine.trash.discard(engine.paths.container(container.id).directory);
  removeVolumes(engine, container.record);
  engine.store.delete(container.id);
  engine.userNamespaces.release(container.id);
}
