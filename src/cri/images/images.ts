/** ListImages, ImageStatus, RemoveImage and ImageFsInfo. */
import { statfsSync } from "node:fs";
import { nowNs } from "../../base/time.ts";
import { type Image, imageUsers, PAUSE_NAME } from "../../engine/mod.ts";
import { formatReference, parseReference } from "../../spec/image-reference.ts";
import type { Cri } from "../cri.ts";
import { required } from "../errors.ts";
import { findImage } from "./find.ts";

interface ImageRequest {
  image: { image: string } | undefined;
}

/** An image as kubelet sees it; names are written in full. */
function describeImage(image: Image) {
  const { id, repoTags, repoDigests, sizeBytes, document } = image;
  const full = (name: string) => formatReference(parseReference(name));
  return {
    id,
    repoTags: repoTags.map(full),
    repoDigests: repoDigests.map(full),
    size: sizeBytes,
    ...userOf(document.config.User ?? ""),
    spec: { image: id, annotations: new Map<string, string>() },
    pinned: repoTags.includes(PAUSE_NAME),
  };
}

/** The user of the image's processes: a number or a name; neither is root. */
function userOf(text: string): { uid?: { value: number }; username?: string } {
  const [user = ""] = text.split(":");
  if (user === "") return {};
  return /^\d{1,10}$/.test(user) ? { uid: { value: Number(user) } } : { username: user };
}

export function listImages({ images }: Cri, { filter }: { filter: ImageRequest | undefined }) {
  const wanted = filter?.image?.image ?? "";
  if (wanted === "")
    return {
      images: images
        .list()
        .filter(({ isIntermediate }) => !isIntermediate)
        .map(describeImage),
    };
  const found = findImage(images, wanted);
  return { images: found === undefined ? [] : [describeImage(found)] };
}

export function imageStatus({ images }: Cri, request: ImageRequest & { verbose: boolean }) {
  const found = findImage(images, required(request.image, "the image").image);
  if (found === undefined) return {};
  const info = { chainID: found.chainIds.at(-1) ?? "", imageSpec: found.document };
  return {
    image: describeImage(found),
    info: request.verbose ? new Map([["info", JSON.stringify(info)]]) : new Map<string, string>(),
  };
}

/** Removes an image with all its names. One that is not there has been removed. */
export async function removeImage({ images, engine }: Cri, request: ImageRequest): Promise<object> {
  const found = findImage(images, required(request.image, "the image").image);
  if (found === undefined) return {};
  await images.remove(found.id, { force: true, users: imageUsers(engine), parents: true });
  return {};
}

/** The room that images take, from what is known of each: nothing is walked. */
export function imageFsInfo({ images, engine }: Cri) {
  const { layersBytes, blobsBytes } = images.diskUsage();
  const path = engine.paths.dataRoot;
  const { files, ffree } = statfsSync(path);
  const usage = {
    timestamp: nowNs(),
    fsId: { mountpoint: path },
    usedBytes: { value: layersBytes + blobsBytes },
    inodesUsed: { value: files - ffree },
  };
  return { imageFilesystems: [usage], containerFilesystems: [usage] };
}
