/** Pauses containers: their processes stand still until somebody says otherwise, also over the death of a daemon. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { detectCgroupHost, freezeCgroup, thawCgroup } from "../../linux/cgroup/mod.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { containerRestarting, notRunning } from "../errors.ts";
import { freezeUnlessGone } from "../files/freeze.ts";

/**
 * Pauses a container. The row is written first: a daemon that comes back freezes what should be frozen.
 * @throws LighterError "conflict" in the wrong state, else like `freezeCgroup`
 */
export function pauseContainer(container: Container): Promise<void> {
  return container.queue.run(async () => {
    const { id, record } = container;
    if (container.restarts.isWaiting) throw containerRestarting(id);
    if (!container.isRunning) throw notRunning(id);
    if (record.paused) throw new LighterError("conflict", `Container ${id} is already paused`);
    container.changeOrLater({ paused: true });
    try {
      await freeze(container);
    } catch (error) {
      container.changeOrLater({ paused: false });
      throw error;
    }
    container.publish("pause");
  });
}

/** Resumes a container. @throws LighterError "internal" if it is not paused: Docker's status is 500 */
export function unpauseContainer(container: Container): Promise<void> {
  return container.queue.run(() => {
    if (!container.record.paused) throw new LighterError("internal", `Container ${container.id} is not paused`);
    thaw(container);
  });
}

/** Thaws a paused container that was sent its last signal, so that it sees it. */
export function thawPaused(container: Container): Promise<void> {
  return container.queue.run(() => {
    if (container.record.paused) thaw(container);
  });
}

/** Thaws. The container's queue is held. */
function thaw(container: Container): void {
  thawCgroup(detectCgroupHost(), cgroupsPathOf(container.record));
  container.changeOrLater({ paused: false }, "unpause");
}

async function freeze(container: Container): Promise<void> {
  await freezeUnlessGone(() => freezeCgroup(detectCgroupHost(), cgroupsPathOf(container.record)));
}

/** Freezes containers that an earlier daemon had written down as paused; it may have died before they were. */
export async function freezePaused(engine: Engine): Promise<void> {
  const paused = engine.list().filter((container) => container.isRunning && container.record.paused);
  await Promise.all(
    paused.map((container) =>
      freeze(container).catch((error: unknown) => log.error(`freeze container ${container.id}: ${messageOf(error)}`)),
    ),
  );
}
