/** Reads a container's root file system from outside: `export`, `diff`, and the layer that `commit` makes. */
import { existsSync, lstatSync } from "node:fs";
import { type JobOutput, runWithOutput } from "../../files/mod.ts";
import type { ImageStore, TreeChanges } from "../../image/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { markedForRemoval } from "../errors.ts";
import { changesJob, treeTarJob } from "./file-jobs.ts";

/** The directories that a container's files consist of. */
interface Tree {
  /** The container's own files; undefined before the first start. */
  upper: string | undefined;
  /** The layers below, topmost first. */
  lower: readonly string[];
}

function treeOf(engine: Engine, images: ImageStore, { record }: Container): Tree {
  const { upper } = engine.paths.container(record.id);
  const { lowerDirs } = images.layersOf(record.imageId);
  return { upper: existsSync(upper) ? upper : undefined, lower: [...lowerDirs, engine.paths.base] };
}

/**
 * Checks that the container is not being removed. A removal that began during the reading has taken some files away; it is marked
 * before the first one goes, so a look afterwards is enough.
 */
function requireStillThere({ record }: Container): void {
  if (record.status === "removing") throw markedForRemoval(record.id);
}

/** Reads while the container exists: an error may come from its removal, which is then reported instead. */
async function whileThere<T>(container: Container, read: () => Promise<T>): Promise<T> {
  requireStillThere(container);
  try {
    return await read();
  } finally {
    requireStillThere(container);
  }
}

/** Writes the merged view as a tar, without volumes and other mounts, as with Docker. */
export async function exportContainer(
  engine: Engine,
  images: ImageStore,
  container: Container,
  receive: (tar: JobOutput) => Promise<void>,
): Promise<void> {
  const { upper, lower } = treeOf(engine, images, container);
  const layers = upper === undefined ? lower : [upper, ...lower];
  const argument = { trees: [{ layers, below: "" }] };
  await whileThere(container, () =>
    runWithOutput(engine.workers, treeTarJob, argument, {}, (_: null, tar) => receive(tar)),
  );
}

/** Lists what the container has changed in its image's files, in the JSON of Docker's API, sorted by path. */
export async function listChanges(
  engine: Engine,
  images: ImageStore,
  container: Container,
  receive: (json: JobOutput) => Promise<void>,
): Promise<void> {
  const { upper, lower } = treeOf(engine, images, container);
  const argument = { ...(upper === undefined ? {} : { upper }), lower };
  await whileThere(container, () =>
    runWithOutput(engine.workers, changesJob, argument, {}, (_: null, json) => receive(json)),
  );
}

/**
 * Returns the upper directory, for an image's layer. "/" is in it if its mode or owner is not the image's. Undefined: there is
 * none.
 */
function changesIn(engine: Engine, images: ImageStore, container: Container): TreeChanges | undefined {
  const { upper } = treeOf(engine, images, container);
  if (upper === undefined) return undefined;
  const { root } = images.layersOf(container.record.imageId);
  const own = lstatSync(upper);
  const includeRoot = (own.mode & 0o7777) !== root.mode || own.uid !== root.uid || own.gid !== root.gid;
  return { upperPath: upper, includeRoot };
}

/** Runs `use` on the changes while the container exists. */
export async function withChanges<T>(
  engine: Engine,
  images: ImageStore,
  container: Container,
  use: (changes: TreeChanges | undefined) => Promise<T>,
): Promise<T> {
  return await whileThere(container, () => use(changesIn(engine, images, container)));
}
