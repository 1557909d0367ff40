/** GetContainerEvents: tells clients what becomes of pods and their containers, with all that they would ask next. */
import { LighterError } from "../../base/errors.ts";
import { CRI_WAITING_EVENTS_MAX } from "../../base/limits.ts";
import type { Engine, EngineEvent } from "../../engine/mod.ts";
import type { containerEventResponseType } from "../../spec/cri/containers.ts";
import type { DraftOf } from "../../spec/protobuf.ts";
import { containerStatusOf } from "../containers/status.ts";
import type { Cri } from "../cri.ts";
import { containersOf } from "../pods.ts";
import { sandboxStatusOf } from "../sandboxes/status.ts";

type ContainerEvent = DraftOf<typeof containerEventResponseType>;

/** The kind of each action. Source: ContainerEventType in api.proto. */
const KINDS: Readonly<Record<string, number>> = { create: 0, start: 1, die: 2, destroy: 3 };

/** Yields events until the client goes. @throws LighterError "unavailable" for one that does not read them */
export async function* containerEvents(cri: Cri, { signal }: { signal: AbortSignal }): AsyncGenerator<ContainerEvent> {
  const pods = podsById(cri.engine);
  const waiting: ContainerEvent[] = [];
  let isTooSlow = false;
  let changed = Promise.withResolvers<void>();
  using _listening = cri.engine.events.subscribe((event) => {
    if (waiting.length >= CRI_WAITING_EVENTS_MAX) isTooSlow = true;
    const told = isTooSlow ? undefined : describe(cri, event, pods);
    if (told !== undefined) waiting.push(told);
    changed.resolve();
  });
  signal.addEventListener("abort", () => changed.resolve());
  while (!signal.aborted) {
    if (isTooSlow)
      throw new LighterError(
        "unavailable",
        `more than ${CRI_WAITING_EVENTS_MAX} events wait: list all, and begin anew`,
      );
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) yield next;
    changed = Promise.withResolvers();
    await changed.promise;
  }
}

/** The sandbox of each container and of itself: one that is gone cannot be asked any more. */
function podsById(engine: Engine): Map<string, string> {
  return new Map(engine.list().flatMap(({ id, record }) => (record.pod ? [[id, record.pod.sandboxId ?? id]] : [])));
}

/** The event for kubelet; undefined if it is about none of its containers, or nothing that it is told of. */
function describe({ engine, ...cri }: Cri, event: EngineEvent, pods: Map<string, string>): ContainerEvent | undefined {
  const { type, action, id, timeNs } = event;
  const containerEventType = KINDS[action];
  if (type !== "container" || containerEventType === undefined) return undefined;
  const pod = engine.containers.get(id)?.record.pod;
  if (pod !== undefined) pods.set(id, pod.sandboxId ?? id);
  const sandboxId = pods.get(id);
  if (sandboxId === undefined) return undefined;
  if (action === "destroy") pods.delete(id);
  const sandbox = engine.containers.get(sandboxId);
  return {
    ...{ containerId: id, containerEventType, createdAt: timeNs },
    ...(sandbox === undefined ? {} : { podSandboxStatus: sandboxStatusOf(sandbox) }),
    containersStatuses: containersOf(engine, sandboxId).map((each) => containerStatusOf({ engine, ...cri }, each)),
  };
}
