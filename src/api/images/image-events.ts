/** Publishes the events of images, and those of prunes. */
import { type Image, publishImage, type RemoveRecord } from "../../engine/mod.ts";
import { familiarName, familiarReference, type Reference } from "../../spec/image-reference.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

/** Publishes that images were saved. A name without a tag may stand for images of which none is "latest": these get no event. */
export function publishSaved(daemon: Daemon, names: readonly string[]): void {
  for (const name of names) {
    const id = idOf(daemon.images, name);
    if (id !== undefined) publishImage(daemon, "save", id);
  }
}

function idOf(images: Daemon["images"], name: string): string | undefined {
  try {
    return images.get(name).id;
  } catch {
    return undefined;
  }
}

/** Publishes a pull or push, which are events of a name. */
export function publishTransfer(daemon: Daemon, action: "pull" | "push", reference: Reference): void {
  publishImage(daemon, action, familiarReference(reference), familiarName(reference));
}

/** Publishes what a removal did. `image` is as it was before. The layers deleted with it get no events. */
export function publishRemoval({ engine }: Daemon, image: Image, records: readonly RemoveRecord[]): void {
  const { id } = image;
  for (const record of records)
    if ("Untagged" in record) {
      const labels = image.document.config.Labels ?? {};
      engine.events.publish("image", "untag", id, { ...labels, name: id });
    } else if (record.Deleted === id) engine.events.publish("image", "delete", id, { name: id });
}

/** Publishes a prune of images, containers or others; `reclaimedBytes` is what it has freed. */
export function publishPrune(
  { engine }: Daemon,
  type: "image" | "container" | "network" | "builder",
  reclaimedBytes: number,
): void {
  engine.events.publish(type, "prune", "", { reclaimed: String(reclaimedBytes) });
}
