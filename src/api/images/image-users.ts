import type { Daemon } from "../daemon/daemon-state.ts";

/** Containers, which hold images. */
export function usersOf({ engine }: Daemon) {
  return engine.list().map((container) => ({
    containerId: container.id,
    imageId: container.record.imageId,
    isRunning: container.isActive,
  }));
}
