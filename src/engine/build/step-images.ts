/** The images of a build: a hidden one for each step's files, and the one that is asked for. */
import { formatNow } from "../../base/time.ts";
import type { PlannedStage } from "../../build/mod.ts";
import { type Image, type ImageStore, makeImage } from "../../image/mod.ts";
import { type ImageDocument, parseImageConfig } from "../../spec/oci-image.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { withChanges } from "../files/container-files.ts";

export type History = ImageDocument["history"];

export class StepImages {
  readonly #engine: Engine;
  readonly store: ImageStore;

  constructor(engine: Engine, store: ImageStore) {
    this.#engine = engine;
    this.store = store;
  }

  /** Makes a hidden image from the image's layers alone: a step has no use for its volumes and its command. */
  base(image: Image): Promise<string> {
    return makeImage(this.store, { ...this.#hidden(image), layer: async () => undefined });
  }

  /** Keeps what the container has changed as layers over those it was made from. */
  async keep(container: Container, root: string): Promise<string> {
    return await makeImage(this.store, {
      ...this.#hidden(root === "" ? undefined : this.store.get(root)),
      layer: (make) =>
        withChanges(this.#engine, this.store, container, async (changes) => changes && (await make(changes))),
    });
  }

  /** Makes the image that the build is for. */
  export(root: string, { config, author }: PlannedStage, history: History): Promise<string> {
    const { os, architecture } = this.store.platform;
    return makeImage(this.store, {
      base: root === "" ? undefined : this.store.get(root),
      document: {
        ...{ created: formatNow(), architecture, os, config: parseImageConfig(config, "config") },
        ...(author === undefined ? {} : { author }),
      },
      history,
      layer: async () => undefined,
      name: undefined,
    });
  }

  layerCount(id: string): number {
    return id === "" ? 0 : this.store.layerSizesOf(id).length;
  }

  #hidden(base: Image | undefined) {
    const { os, architecture } = this.store.platform;
    return { base, document: { architecture, os, config: {} }, history: [], name: undefined, isCache: true };
  }
}
