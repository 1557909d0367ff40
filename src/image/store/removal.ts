/** Decides what Docker's `rmi` removes and refuses, in its words. Pure. */

import { LighterError } from "../../base/errors.ts";
import { type Digest, shortId } from "../../base/ids.ts";
import {
  formatReference,
  isSameRepository,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../spec/image-reference.ts";

/** A container that uses an image. */
export interface ImageUser {
  containerId: string;
  imageId: string;
  isRunning: boolean;
}

/** An image and its full references. */
interface NamedImage {
  id: Digest;
  references: ReadonlySet<string>;
  /** Whether other images were made from it. */
  hasChildren: boolean;
}

export interface RemovalPlan {
  /** Full references to remove. */
  names: string[];
  deletesImage: boolean;
}

function conflict(message: string): LighterError {
  return new LighterError("conflict", `conflict: ${message}`);
}

/** Whether an image has at most one tag, and nothing outside of its repository: then it goes with its name. */
function hasOneReference(image: NamedImage): boolean {
  const references = [...image.references].map(parseReference);
  const tags = references.filter((reference) => reference.digest === undefined);
  return tags.length <= 1 && references.every((reference) => isSameRepository(reference, references[0]!));
}

/** `given`: the name as the client has written it, which the error repeats. */
export function planRemovalByName(
  image: NamedImage,
  given: string,
  users: readonly ImageUser[],
  force: boolean,
): RemovalPlan {
  const reference = withDefaultTag(parseReference(given));
  const name = formatReference(reference);
  const isLast = hasOneReference(image);
  const user = users[0];
  if (isLast && user !== undefined && !force)
    throw conflict(
      `unable to remove repository reference "${given}" (must force) - container ${shortId(user.containerId)} is using its referenced image ${shortId(image.id)}`,
    );
  if (!isLast) return { names: withLastDigests(image, name, reference), deletesImage: false };
  return { names: [...image.references], deletesImage: user === undefined && !image.hasChildren };
}

/** The names to remove: this one and, with a repository's last tag, the digests that the image has there. */
function withLastDigests(image: NamedImage, name: string, reference: Reference): string[] {
  if (!image.references.has(name)) return [];
  const inRepository = [...image.references].map(parseReference).filter((other) => isSameRepository(other, reference));
  const keepsTag = inRepository.some((other) => other.digest === undefined && formatReference(other) !== name);
  return reference.digest !== undefined || keepsTag ? [name] : inRepository.map(formatReference);
}

export function planRemovalById(image: NamedImage, users: readonly ImageUser[], force: boolean): RemovalPlan {
  const unable = `unable to delete ${shortId(image.id)}`;
  if (image.hasChildren) throw conflict(`${unable} (cannot be forced) - image has dependent child images`);
  const running = users.find((user) => user.isRunning);
  if (running !== undefined)
    throw conflict(
      `${unable} (cannot be forced) - image is being used by running container ${shortId(running.containerId)}`,
    );
  if (!force && !hasOneReference(image))
    throw conflict(`${unable} (must be forced) - image is referenced in multiple repositories`);
  const stopped = users[0];
  if (!force && stopped !== undefined)
    throw conflict(
      `${unable} (must be forced) - image is being used by stopped container ${shortId(stopped.containerId)}`,
    );
  return { names: [...image.references], deletesImage: stopped === undefined };
}
