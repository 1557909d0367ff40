/** Publishes what happens to images. */
import type { ImageStore } from "../../image/mod.ts";
import type { Engine } from "../engine.ts";

type ImageAction = "delete" | "import" | "load" | "pull" | "push" | "save" | "tag" | "untag";

/** Publishes an action on an image. `ref`: the image's id or name; the event has the image's labels if the image exists. */
export function publishImage(
  { engine, images }: { engine: Pick<Engine, "events">; images: ImageStore },
  action: ImageAction,
  ref: string,
  name = ref,
): void {
  engine.events.publish("image", action, ref, { ...labelsOf(images, ref), name });
}

function labelsOf(images: ImageStore, ref: string): Record<string, string> {
  try {
    return images.get(ref).document.config.Labels ?? {};
  } catch {
    return {}; // the image has just been deleted
  }
}
