import type { Image, RemoveRecord } from "../../engine/mod.ts";
import { familiarName, familiarReference, type Reference } from "../../spec/image-reference.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

type ImageAction = "delete" | "import" | "load" | "pull" | "push" | "save" | "tag" | "untag";

/** `ref`: an image's id or name, whose labels are told as far as there is such an image. */
export function publishImage({ engine, images }: Daemon, action: ImageAction, ref: string, name = ref): void {
  engine.events.publish("image", action, ref, { ...labelsOf(images, ref), name });
}

function labelsOf(images: Daemon["images"], ref: string): Record<string, string> {
  try {
    return images.get(ref).document.config.Labels ?? {};
  } catch {
    return {}; // it has just been deleted
  }
}

/** A name without a tag may stand for images none of which is its "latest": these are not told of. */
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

/** Pulled or pushed: these tell of a name. */
export function publishTransfer(daemon: Daemon, action: "pull" | "push", reference: Reference): void {
  publishImage(daemon, action, familiarReference(reference), familiarName(reference));
}

/** What a removal has done. `image` is as it was before. Layers, which are deleted with it, are not told of. */
export function publishRemoval({ engine }: Daemon, image: Image, records: readonly RemoveRecord[]): void {
  const { id } = image;
  for (const record of records)
    if ("Untagged" in record) {
      const labels = image.document.config.Labels ?? {};
      engine.events.publish("image", "untag", id, { ...labels, name: id });
    } else if (record.Deleted === id) engine.events.publish("image", "delete", id, { name: id });
}

/** A prune of images, containers and so on; `reclaimedBytes` is what it has freed. */
export function publishPrune(
  { engine }: Daemon,
  type: "image" | "container" | "network",
  reclaimedBytes: number,
): void {
  engine.events.publish(type, "prune", "", { reclaimed: String(reclaimedBytes) });
}
