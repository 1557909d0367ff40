/** UpdateContainerResources, ReopenContainerLog and CheckpointContainer. */
import { LighterError } from "../../base/errors.ts";
import { updateContainer } from "../../engine/mod.ts";
import { containerConfigType } from "../../spec/cri/containers.ts";
import type { Cri } from "../cri.ts";
import { containerConfig, findContainer, forgetConfig } from "../pods.ts";
import { furtherLimitsOf, limitsOf, type Resources, withSwapLimit } from "./resources.ts";

/** Changes the limits of a container, also of one that does not run yet: the row and the kernel, or neither. */
export async function updateContainerResources(
  { engine, host }: Cri,
  { containerId, linux }: { containerId: string; linux: Resources | undefined },
): Promise<object> {
  const container = findContainer(engine, containerId);
  if (linux === undefined) return {};
  await updateContainer(container, limitsOf(linux), host, furtherLimitsOf(linux));
  await container.queue.run(() => {
    const config = containerConfig(container);
    const resources = merge(config.linux?.resources, withSwapLimit(linux));
    const updated = { ...config, linux: { ...config.linux, resources } };
    const text = Buffer.from(containerConfigType.encode(updated)).toString("base64");
    container.changeOrLater({ pod: { ...container.record.pod!, config: text } });
    forgetConfig(container);
  });
  return {};
}

/** What is given replaces what was. */
function merge(before: Resources | undefined, given: Resources): Resources {
  if (before === undefined) return given;
  const changes = Object.entries(given).filter(([, value]) =>
    typeof value === "object" ? ("size" in value ? value.size : value.length) > 0 : Boolean(value),
  );
  return { ...before, ...Object.fromEntries(changes) };
}

/** Kubelet has renamed the log: what comes from now on is for a new file at its path. */
export async function reopenContainerLog({ engine }: Cri, { containerId }: { containerId: string }): Promise<object> {
  const container = findContainer(engine, containerId);
  if (!container.isRunning || container.supervised === undefined)
    throw new LighterError("conflict", `container ${JSON.stringify(container.id)} is not running`);
  if (container.record.pod?.logPath !== undefined) await container.supervised.reopenLog();
  return {};
}

export function checkpointContainer({ engine }: Cri, { containerId }: { containerId: string }): object {
  findContainer(engine, containerId);
  throw new LighterError(
    "not-supported",
    "no checkpoint of a pod's container: its namespaces of IPC and names are its pod's, and only a container that has its own " +
      "can be saved and restored by CRIU (`lighter-runtime checkpoint`, of an OCI bundle)",
  );
}
