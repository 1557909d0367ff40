/** Images whose files are mounted into containers: each mount is a file system of its own, which goes with its container. */
import { LighterError } from "../../base/errors.ts";
import { type ImageStore, isDirectoryInLayers, planLayersMount, statInLayers } from "../../image/mod.ts";
import { bytePath } from "../../linux/sys/fs.ts";
import { closeFilesystem } from "../../runtime/mod.ts";
import type { OciMount } from "../../spec/oci-runtime.ts";
import type { ImageOfMount } from "../config/mod.ts";
import type { ContainerRecord } from "../state/record.ts";
import type { MountedVolumes } from "./mounted-volumes.ts";
import type { VolumesInUse } from "./volumes-in-use.ts";

/** Finds an image, and a path in it; "" is all of it. @throws LighterError "not-found" */
export function imageOfMount(images: ImageStore, name: string, path: string): ImageOfMount {
  const { id } = images.get(name);
  if (path === "") return { id };
  const { lowerDirs } = images.layersOf(id);
  if (isDirectoryInLayers(lowerDirs, path)) return { id, part: { path, type: "directory" } };
  if (statInLayers(lowerDirs, bytePath(path)) !== undefined) return { id, part: { path, type: "file" } };
  throw new LighterError("not-found", `image ${JSON.stringify(name)} has nothing at ${JSON.stringify(path)}`);
}

interface Preparation {
  images: ImageStore;
  mounted: MountedVolumes;
  inUse: VolumesInUse;
}

/** Mounts an image for a start. */
export async function prepareImage({ images, mounted, inUse }: Preparation, { id }: ImageOfMount): Promise<void> {
  const filesystem = await mounted.mountAside(planMount(images, id));
  inUse.add(filesystem, () => closeFilesystem(filesystem));
}

function planMount(images: ImageStore, id: string): Omit<OciMount, "destination"> {
  const [empty = ""] = images.layersOf("").lowerDirs;
  const { lowerDirs } = images.layersOf(id);
  // An overlay that nobody writes to has two layers at least.
  if (!lowerDirs.includes(empty)) return planLayersMount(`image "${id}"`, [...lowerDirs, empty]);
  return { type: "tmpfs", source: "tmpfs", options: ["ro", "mode=755"] };
}

/** The images that a container needs: its own, and those that are mounted in it. */
export function imagesOf({ imageId, mountPoints }: Pick<ContainerRecord, "imageId" | "mountPoints">): string[] {
  return [imageId, ...mountPoints.flatMap(({ image }) => (image === undefined ? [] : [image.id]))];
}
