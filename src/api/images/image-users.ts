/** Tells the image store which containers use images. */
import type { Daemon } from "../daemon/daemon-state.ts";

/** The containers as users of images. */
export function usersOf({ engine }: Daemon) {
  return engine.list().map((container) => ({
    containerId: container.id,
    imageId: container.record.imageId,
    isRunning: container.isActive,
  }));
}
