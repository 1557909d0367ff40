/** StartContainer, StopContainer and RemoveContainer. */

import { LighterError } from "../../base/errors.ts";
import { formatNow } from "../../base/time.ts";
import {
  type Container,
  removeContainer as remove,
  startContainer as start,
  stopContainer as stop,
} from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";
import { unlessMissing } from "../errors.ts";
import { findContainer, findSandbox, isReady } from "../pods.ts";

interface Request {
  containerId: string;
}

/** Starts a container, which runs once in its life. */
export async function startContainer({ engine }: Cri, { containerId }: Request): Promise<object> {
  const container = findContainer(engine, containerId);
  const { pod, status } = container.record;
  if (status !== "created" || pod?.startFailedAt !== undefined)
    throw new LighterError("conflict", `container ${JSON.stringify(container.id)} is not in created state`);
  const sandbox = findSandbox(engine, pod?.sandboxId ?? "");
  if (!isReady(sandbox))
    throw new LighterError("conflict", `sandbox container ${JSON.stringify(sandbox.id)} is not running`);
  try {
    await start(engine, container);
  } catch (error) {
    await container.queue.run(() => {
      if (container.record.status === "created")
        container.changeOrLater({ pod: { ...container.record.pod!, startFailedAt: formatNow() } });
    });
    throw error;
  }
  return {};
}

/** Stops a container with its signal, and after the time by SIGKILL; without a time at once. One that is not there has stopped. */
export async function stopContainer(
  { engine }: Cri,
  { containerId, timeout }: Request & { timeout: number },
): Promise<object> {
  const container = await unlessMissing<Container | undefined>(() => findContainer(engine, containerId), undefined);
  if (container === undefined) return {};
  await stop(engine, container, timeout > 0 ? { timeoutSeconds: timeout } : { signal: "KILL", timeoutSeconds: 0 });
  return {};
}

export async function removeContainer({ engine }: Cri, { containerId }: Request): Promise<object> {
  const container = await unlessMissing<Container | undefined>(() => findContainer(engine, containerId), undefined);
  if (container !== undefined) await remove(engine, container, { force: true, volumes: true });
  return {};
}
