/** Changes the limits and the restart policy of a container, also while it runs. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { type HostFacts, mergeUpdate, planResources, prepareUpdate } from "../config/mod.ts";
import type { Container } from "../container.ts";
import { markedForRemoval } from "../errors.ts";
import { changeLimits } from "../life/scope.ts";
import { hostProbe } from "../plan/host-facts.ts";
import type { PodRecord } from "../state/record.ts";

/**
 * Changes a container; `further` are limits of a pod's container for which Docker has no words. Resolves with warnings.
 * The row is written before the cgroup, and put back if the kernel refuses.
 * @throws LighterError "invalid", "conflict" with Docker's texts, else like `planUpdate` and `applyReversibly`
 */
export function updateContainer(
  container: Container,
  given: DockerHostConfig,
  host: HostFacts,
  further: PodLimits = {},
): Promise<string[]> {
  const { changes, warnings } = prepareUpdate(given, host, container.record.pod && 0);
  return container.queue.run(async () => {
    const { record, id } = container;
    if (record.status === "removing") throw markedForRemoval(id);
    const { hostConfig, pod } = record;
    const after = await inContext(id, () => mergeUpdate(hostConfig, changes));
    container.change({ hostConfig: after, ...(pod && { pod: withLimits(pod, further) }) });
    try {
      if (container.isRunning)
        await inContext(id, () => applyLimits(container, { ...planResources(changes, [], hostProbe), ...further }));
    } catch (error) {
      container.changeOrLater({ hostConfig, ...(pod && { pod }) });
      throw error;
    }
    container.publish("update");
    return warnings;
  });
}

type PodLimits = NonNullable<PodRecord["limits"]>;

/** What is given replaces what was, file by file. */
function withLimits(pod: PodRecord, given: PodLimits): PodRecord {
  if (Object.keys(given).length === 0) return pod;
  const { limits } = pod;
  const unified = { ...limits?.unified, ...given.unified };
  return { ...pod, limits: { ...limits, ...given, ...(Object.keys(unified).length > 0 && { unified }) } };
}

async function applyLimits(container: Container, planned: OciResources): Promise<void> {
  const { devices: _, ...resources } = planned;
  if (Object.keys(resources).length === 0) return;
  await changeLimits(container.record, resources, (warning) =>
    log.warn(`update container ${container.id}: ${warning}`),
  );
}

async function inContext<T>(id: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const [code, detail] = error instanceof LighterError ? [error.code, error.detail] : ["internal" as const, {}];
    throw new LighterError(code, `Cannot update container ${id}: ${messageOf(error)}`, { ...detail, cause: error });
  }
}
