/** A container's root file system as others see it from outside: `export`, `diff`, and the layer that `commit` makes. */
import { existsSync, lstatSync } from "node:fs";
import { type Change, type ImageStore, listChanges, writeTreeTar } from "../image/mod.ts";
import type { Container } from "./container.ts";
import type { Engine } from "./engine.ts";
import { markedForRemoval } from "./errors.ts";

/** What belongs to the container, and where. */
interface Tree {
  /** Undefined before the first start: there are no files of its own yet. */
  upper: string | undefined;
  /** Topmost first. */
  lower: readonly string[];
}

function treeOf(engine: Engine, images: ImageStore, { record }: Container): Tree {
  const { upper } = engine.paths.container(record.id);
  const { lowerDirs } = images.layersOf(record.imageId);
  return { upper: existsSync(upper) ? upper : undefined, lower: [...lowerDirs, engine.paths.base] };
}

/**
 * A removal that began while the files were read has taken some of them away. It is marked before the first one goes, so
 * a look afterwards is enough.
 */
function requireStillThere({ record }: Container): void {
  if (record.status === "removing") throw markedForRemoval(record.id);
}

async function* whileThere(container: Container, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  requireStillThere(container);
  try {
    yield* bytes;
  } catch (error) {
    requireStillThere(container); // that says why a file was not there
    throw error;
  }
  requireStillThere(container);
}

/** The merged view as a tar. Volumes and other mounts are not in it: with Docker they are not either. */
export function exportContainer(engine: Engine, images: ImageStore, container: Container): AsyncGenerator<Uint8Array> {
  const { upper, lower } = treeOf(engine, images, container);
  const layers = upper === undefined ? lower : [upper, ...lower];
  return whileThere(container, writeTreeTar(layers, { form: "merged", includeRoot: false }));
}

/** Sorted by path. */
export async function changesOf(engine: Engine, images: ImageStore, container: Container): Promise<Change[]> {
  const tree = treeOf(engine, images, container);
  if (tree.upper === undefined) return [];
  const changes = await listChanges(tree.upper, tree.lower);
  requireStillThere(container);
  return changes;
}

/** The upper directory as an image's layer. "/" is in it if its mode or owner is not the image's. */
export function layerOf(engine: Engine, images: ImageStore, container: Container): AsyncGenerator<Uint8Array> {
  const tree = treeOf(engine, images, container);
  if (tree.upper === undefined) return whileThere(container, emptyTar());
  const { root } = images.layersOf(container.record.imageId);
  const own = lstatSync(tree.upper);
  const includeRoot = (own.mode & 0o7777) !== root.mode || own.uid !== root.uid || own.gid !== root.gid;
  return whileThere(container, writeTreeTar([tree.upper], { form: "layer", includeRoot }));
}

async function* emptyTar(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(1024);
}
