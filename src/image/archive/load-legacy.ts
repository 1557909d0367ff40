/**
 * Finds images in archives that `docker save` wrote before Docker 1.10. An image is a chain of directories, each a layer that
 * names its parent; its config is that of the last one.
 *
 *   repositories               {"NAME": {"TAG": "ID"}}
 *   ID/json, ID/layer.tar      config of the first version, with "parent": "ID"
 *
 * The image gets the id that later versions of Docker give it.
 * Source: Docker image spec v1.
 */

import { LighterError } from "../../base/errors.ts";
import type { DiffId } from "../../base/ids.ts";
import { ARCHIVE_MAX_IMAGES, IMAGE_MAX_LAYERS } from "../../base/limits.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import { parseDocument, parseImageDocument } from "../../spec/oci-image.ts";
import { digestOf } from "../store/blobs.ts";
import type { ImageFiles } from "./archive.ts";
import type { FoundImage } from "./found-image.ts";

type JsonObject = Record<string, unknown>;

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

function objectOf(value: unknown, where: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${where} is not an object`);
  return value as JsonObject;
}

/** Finds the images, in the order of their first names. @throws LighterError ("invalid"). */
export async function findLegacyImages(files: ImageFiles, repositories: Buffer): Promise<FoundImage[]> {
  const images = new Map<string, FoundImage>();
  for (const [name, tags] of Object.entries(objectOf(parseDocument(`${repositories}`, "repositories"), "repositories")))
    for (const [tag, id] of Object.entries(objectOf(tags, `repositories["${name}"]`))) {
      const known = images.get(`${id}`);
      const image = known ?? (await readImage(files, id));
      images.set(`${id}`, image);
      image.references.push(withDefaultTag(parseReference(`${name}:${tag}`)));
      if (images.size > ARCHIVE_MAX_IMAGES) throw invalid(`the archive has more than ${ARCHIVE_MAX_IMAGES} images`);
    }
  if (images.size === 0) throw invalid("repositories lists no images");
  return [...images.values()];
}

async function readImage(files: ImageFiles, topId: unknown): Promise<FoundImage> {
  const chain: { id: string; config: JsonObject }[] = [];
  for (let next = topId; ; ) {
    if (chain.length === IMAGE_MAX_LAYERS) throw invalid(`an image has more than ${IMAGE_MAX_LAYERS} layers`);
    const id = idOf(next);
    const config = await readConfig(files, id);
    chain.unshift({ id, config });
    next = config.parent ?? "";
    if (next === "") break;
  }
  const layers = chain.map(({ id }) => ({
    ...{ fileName: `${id}/layer.tar`, digest: undefined, mediaType: undefined, size: undefined },
  }));
  const diffIds: DiffId[] = [];
  for (const { fileName } of layers) diffIds.push(await diffIdOf(files, fileName));
  const config = documentOf(
    chain.at(-1)!.config,
    diffIds,
    chain.map(({ config }) => historyOf(config)),
  );
  const configBytes = Buffer.from(JSON.stringify(config));
  return {
    configBytes,
    configDigest: digestOf(configBytes),
    document: parseImageDocument(`${configBytes}`, `${topId}/json`),
    manifest: undefined,
    layers,
    references: [],
  };
}

function idOf(value: unknown): string {
  if (typeof value !== "string" || !/^[0-9a-f]{64}$/.test(value))
    throw invalid("the archive names an invalid image id");
  return value;
}

async function readConfig(files: ImageFiles, id: string): Promise<JsonObject> {
  const bytes = await files.readDocument(`${id}/json`);
  if (bytes === undefined) throw invalid(`"${id}/json" is not in the archive`);
  return objectOf(parseDocument(`${bytes}`, `"${id}/json"`), `"${id}/json"`);
}

/** The diffId of a layer, which was a plain tar. */
async function diffIdOf(files: ImageFiles, fileName: string): Promise<DiffId> {
  const file = await files.ingest(fileName);
  if (file === undefined) throw invalid(`layer "${fileName}" is not in the archive`);
  return file.unpacked?.diffId ?? (file.digest as string as DiffId);
}

/** Fields of the first version's config that later ones do not have. */
const LEFT_OUT = new Set(["id", "parent", "Size", "parent_id", "layer_id", "throwaway"]);

/** Makes the config. Its keys are sorted like Docker's: the id is the digest of these bytes. */
function documentOf(config: JsonObject, diffIds: DiffId[], history: JsonObject[]): JsonObject {
  const whole: JsonObject = { ...config, rootfs: { type: "layers", diff_ids: diffIds }, history };
  const keys = Object.keys(whole).filter((key) => !LEFT_OUT.has(key));
  return Object.fromEntries(keys.sort().map((key) => [key, whole[key]]));
}

function historyOf({ created, author, container_config, comment }: JsonObject): JsonObject {
  const command = (container_config as JsonObject | undefined)?.Cmd;
  const texts = {
    author,
    created_by: Array.isArray(command) ? command.join(" ") : "",
    comment,
  };
  const given = Object.entries(texts).filter(([, value]) => typeof value === "string" && value !== "");
  return { created, ...Object.fromEntries(given) };
}
