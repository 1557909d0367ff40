/** StartContainer, StopContainer and RemoveContainer. */

import { LighterError } from "../../base/errors.ts";
import { formatNow } from "../../base/time.ts";
import {
  type Container,
  type Engine,
  removeContainer as remove,
  startContainer as start,
  stopContainer as stop,
} from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";
import { unlessMissing } from "../errors.ts";
import { findContainer, findSandbox, isReady, requireReady } from "../pods.ts";

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
  requireReady(sandbox);
  try {
    await start(engine, container);
  } catch (error) {
    await container.queue.run(() => {
      if (container.record.status === "created")
        container.changeOrLater({ pod: { ...container.record.pod!, startFailedAt: formatNow() } });
    });
    throw error;
  }
  if (!isReady(sandbox)) await stopAtOnce(engine, container); // who stopped it in the meantime did not see this one run
  requireReady(sandbox);
  return {};
}

/** Stops a container with its signal, and after the time by SIGKILL; without a time at once. One that is not there has stopped. */
export async function stopContainer(
  { engine }: Cri,
  { containerId, timeout }: Request & { timeout: number },
): Promise<object> {
  const container = await unlessMissing<Container | undefined>(() => findContainer(engine, containerId), undefined);
  if (container === undefined) return {};
  if (timeout > 0) await stop(engine, container, { timeoutSeconds: timeout });
  else await stopAtOnce(engine, container);
  return {};
}

export async function stopAtOnce(engine: Engine, container: Container): Promise<void> {
  await stop(engine, container, { signal: "KILL", timeoutSeconds: 0 });
}

export async function removeContainer({ engine }: Cri, { containerId }: Request): Promise<object> {
  const container = await unlessMissing<Container | undefined>(() => findContainer(engine, containerId), undefined);
  if (container !== undefined) await removeAnyhow(engine, container);
  return {};
}

/** Removes a container of a pod, also one that somebody else is removing at this moment. */
export async function removeAnyhow(engine: Engine, container: Container): Promise<void> {
  try {
    await remove(engine, container, { force: true, volumes: true });
  } catch (error) {
    if (container.record.status !== "removing") throw error;
  }
}
