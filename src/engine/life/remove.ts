/** Removes a container at a user's request. */
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { cannotRemove, markedForRemoval } from "../errors.ts";
import { killForGood } from "../process/control.ts";
import { markRemoved } from "./removal.ts";

/** Removes a container. Resolves when the name is free and no client sees it any more; its files go in the background. */
export async function removeContainer(
  engine: Engine,
  container: Container,
  options: { force: boolean; volumes: boolean },
): Promise<void> {
  const { record } = container;
  for (;;) {
    const wasRunning = container.isRunning;
    if (container.isActive) {
      if (!options.force) throw cannotRemove(container);
      await killForGood(engine, container);
    }
    const isRemoved = await container.queue.run(() => {
      if (record.status === "removing") {
        if (wasRunning && record.hostConfig.AutoRemove) return true; // by its own end, which is what was wanted
        throw markedForRemoval(record.id);
      }
      if (container.isActive) return false; // started in between
      markRemoved(engine, container, options.volumes);
      return true;
    });
    if (isRemoved) return;
  }
}
