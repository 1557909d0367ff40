/** Makes images from other things: a container (`commit`), a tar of a root file system (`import`). */

import { LighterError } from "../../base/errors.ts";
import { formatNow } from "../../base/time.ts";
import { changeConfig } from "../../build/mod.ts";
import type { RawBody } from "../../files/mod.ts";
import { type ImageStore, makeImage, type NewImage } from "../../image/mod.ts";
import type { DockerContainerConfig } from "../../spec/docker-api.ts";
import {
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../../spec/image-reference.ts";
import { type ImageDocument, type Platform, parseImageConfig } from "../../spec/oci-image.ts";
import { mergeImageConfig, parseCreateBody } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { withChanges } from "../files/container-files.ts";
import { freezeContainer } from "../files/freeze.ts";

/** Parses the name for a new image; undefined if none was asked for. @throws LighterError "invalid" as Docker */
export function parseNewName(repo: string | undefined, tag: string | undefined): Reference | undefined {
  if (repo === undefined) return undefined;
  const reference = parseReference(repo);
  if (reference.digest !== undefined) throw new LighterError("invalid", "cannot import digest reference");
  const named = tag === undefined ? withDefaultTag(reference) : withTag(reference, tag);
  if (named.domain === "docker.io" && named.path === "library/sha256")
    throw new LighterError("invalid", "refusing to create an ambiguous tag using digest algorithm as name");
  return named;
}

export interface CommitOptions {
  repo: string | undefined;
  tag: string | undefined;
  comment: string;
  author: string;
  pause: boolean;
  changes: readonly string[];
  /** A config that is merged over the container's; undefined or empty: the container's. The request's JSON, not checked yet. */
  config: unknown;
}

/** Makes an image from a container. Resolves with the new image's id. @throws LighterError */
export async function commitContainer(
  engine: Engine,
  images: ImageStore,
  container: Container,
  options: CommitOptions,
): Promise<string> {
  const { record } = container;
  const name = parseNewName(options.repo, options.tag);
  const given = parseCreateBody(options.config).config;
  const base = Object.keys(given).length === 0 ? record.config : given;
  const config = mergeImageConfig(changeConfig(base, options.changes), record.config);
  const image = record.imageId === "" ? undefined : images.get(record.imageId);
  const created = formatNow();
  const command = [...(record.config.Entrypoint ?? []), ...(record.config.Cmd ?? [])].join(" ");
  return await makeImage(images, {
    base: image,
    ...(image === undefined ? {} : { parentId: image.id }),
    document: documentOf(platformOf(image?.document ?? images.platform), created, options.author, config),
    history: {
      created,
      ...(options.author === "" ? {} : { author: options.author }),
      created_by: command,
      ...(options.comment === "" ? {} : { comment: options.comment }),
    },
    layer: (make) => makeLayer(engine, images, container, options.pause, make),
    name,
  });
}

/** Makes the layer. With `pause` the container stands still while its files are read. Undefined: it has no files of its own. */
async function makeLayer(
  engine: Engine,
  images: ImageStore,
  container: Container,
  pause: boolean,
  make: Parameters<NonNullable<NewImage["layer"]>>[0],
) {
  using _frozen = pause ? await freezeContainer(engine, container) : undefined;
  return await withChanges(engine, images, container, async (changes) => changes && make(changes));
}

function platformOf(
  document: Platform & Pick<ImageDocument, "os.version">,
): Pick<ImageDocument, "os" | "architecture" | "variant" | "os.version"> {
  const { os, architecture, variant } = document;
  return {
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os,
    ...(document["os.version"] === undefined ? {} : { "os.version": document["os.version"] }),
  };
}

/** Makes the image's config from those fields of the container's that an image has: a hostname, say, is the container's alone. */
function documentOf(
  platform: ReturnType<typeof platformOf>,
  created: string,
  author: string,
  config: DockerContainerConfig,
): Omit<ImageDocument, "rootfs" | "history"> {
  return {
    created,
    ...(author === "" ? {} : { author }),
    ...platform,
    config: parseImageConfig(config, "config"),
  };
}

export interface ImportOptions {
  repo: string | undefined;
  tag: string | undefined;
  message: string;
  changes: readonly string[];
  platform: Platform;
}

/**
 * Makes an image whose one layer is the tar `source`, plain or compressed with gzip or zstd; no bytes at all are an empty one, as
 * with Docker. Resolves with its id.
 * @throws LighterError "invalid" for what is no tar, "not-supported" for other compressions
 */
export async function importImage(
  images: ImageStore,
  source: AsyncIterable<Uint8Array> | RawBody,
  options: ImportOptions,
): Promise<string> {
  const name = parseNewName(options.repo, options.tag);
  const config = changeConfig({}, options.changes);
  const created = formatNow();
  return await makeImage(images, {
    base: undefined,
    document: { ...documentOf(options.platform, created, "", config), comment: options.message },
    history: { created, comment: options.message },
    layer: (make) => make(source),
    name,
  });
}

/** Gives an image another name. Without a repository it does nothing, as Docker. */
export async function tagImage(
  images: ImageStore,
  image: string,
  repo: string | undefined,
  tag: string | undefined,
): Promise<boolean> {
  const name = parseNewName(repo, tag);
  images.get(image); // it must be there in any case
  if (name === undefined) return false;
  await images.tag(image, formatReference(name));
  return true;
}
