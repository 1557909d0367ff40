/**
 * The images that a build makes: of its last stage and, for Docker's classic builder, of each step on the way there, so that one
 * may run what was there before a step that fails. All are stored at once.
 *
 * What is made again of the same steps has the same times as before, and so the same id.
 */
import { createHash } from "node:crypto";
import type { Digest } from "../../base/ids.ts";
import { formatNow, formatRfc3339, NS_PER_SECOND } from "../../base/time.ts";
import type { PlannedStage } from "../../build/mod.ts";
import {
  addSnapshotImages,
  type ImageStore,
  idOfSnapshotImage,
  type PackedLayers,
  type SnapshotImage,
} from "../../image/mod.ts";
import type { DockerContainerConfig } from "../../spec/docker-api.ts";
import { type ImageDocument, type Platform, parseImageConfig } from "../../spec/oci-image.ts";
import type { BuildCache } from "./build-cache.ts";

/** A point of a stage. */
export interface ChainLink {
  /** Stands for all that has been done up to here. */
  readonly key: string;
  readonly history: ImageDocument["history"];
  /** When its last step was first done. */
  readonly created: string;
  /** The image of it, if it has one. */
  readonly id: Digest | undefined;
  readonly config: DockerContainerConfig;
  readonly author: string | undefined;
}

/** What a stage begins with. */
export interface ChainBase {
  /** The image, if there is one, and what stands for it. */
  id: Digest | undefined;
  key: string;
  document: Pick<ImageDocument, "history" | "created">;
}

interface ChainOptions {
  images: ImageStore;
  cache: BuildCache;
  noCache: boolean;
  /** Whether steps have images, too. */
  hasSteps: boolean;
  /** The time of everything, if it is given; layers then say that no file was changed later, if `rewritesTimes`. */
  epochSeconds: number | undefined;
  rewritesTimes: boolean;
  /** What images are for. */
  platform: Platform;
}

interface ChainStep {
  createdBy: string;
  config: DockerContainerConfig;
  /** The snapshot after the step. */
  root: string;
  /** Whether it has changed no file. */
  isEmpty: boolean;
  /** Whether it is on the way to the image that is asked for. */
  isExported: boolean;
}

export class ImageChain {
  readonly #options: ChainOptions;
  /** By id. */
  readonly #pending = new Map<Digest, SnapshotImage>();

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** Begins a stage with an image, or with nothing. */
  begin({ config, author }: PlannedStage, base: ChainBase | undefined): ChainLink {
    const { key = "", id, document } = base ?? {};
    return { key, history: document?.history ?? [], created: document?.created ?? "", id, config, author };
  }

  /** What an image of this point says, but for its layers. */
  describe({ created, config, author, history }: ChainLink): Omit<ImageDocument, "rootfs"> {
    return {
      created: this.#epoch ?? (created || formatNow()),
      ...this.#options.platform,
      config: parseImageConfig(config, "config"),
      ...(author === undefined ? {} : { author }),
      history,
    };
  }

  get epochSeconds(): number | undefined {
    return this.#options.epochSeconds;
  }

  get #epoch(): string | undefined {
    const { epochSeconds } = this.#options;
    return epochSeconds === undefined ? undefined : formatRfc3339(BigInt(epochSeconds) * NS_PER_SECOND);
  }

  /** Makes the tars of a snapshot's layers, for an image. */
  async pack(root: string): Promise<PackedLayers> {
    const { images, rewritesTimes, epochSeconds } = this.#options;
    return await images.packSnapshot(root, rewritesTimes ? epochSeconds : undefined);
  }

  /** Adds a step. `isKnown`: an earlier build has done it. */
  async add(
    before: ChainLink,
    { author }: PlannedStage,
    { createdBy, config, root, isEmpty, isExported }: ChainStep,
  ): Promise<{ link: ChainLink; isKnown: boolean }> {
    const { cache, noCache, hasSteps } = this.#options;
    const text = JSON.stringify([before.key, hasSteps, root, createdBy, config, author ?? "", isEmpty]);
    const key = createHash("sha256").update(text).digest("hex");
    const known = noCache ? undefined : cache.momentOf(key);
    const created = this.#epoch ?? known ?? formatNow();
    if (known === undefined) cache.noteMoment(key, created);
    const entry = { created, created_by: createdBy, ...(isEmpty ? { empty_layer: true } : {}) };
    const link = { key, created, config, author, history: [...before.history, entry], id: undefined };
    const id = hasSteps && isExported ? await this.#image(link, root, before.id) : undefined;
    return { link: { ...link, id }, isKnown: known !== undefined };
  }

  /**
   * Makes the image that is asked for. Resolves with its id, and whether it was not there before. `extra`: further fields of its
   * config.
   */
  async finish(link: ChainLink, root: string, extra: object = {}): Promise<{ id: Digest; isNew: boolean }> {
    const { hasSteps } = this.#options;
    const id = hasSteps && link.id !== undefined ? link.id : await this.#image(link, root, undefined, extra);
    const isNew = this.#pending.has(id);
    await this.store();
    return { id, isNew };
  }

  /** Stores the images so far. */
  async store(): Promise<void> {
    const images = [...this.#pending.values()];
    this.#pending.clear();
    if (images.length > 0) await addSnapshotImages(this.#options.images, images);
  }

  async #image(link: ChainLink, root: string, parentId: Digest | undefined, extra: object = {}): Promise<Digest> {
    const { images } = this.#options;
    const { history, ...described } = this.describe(link);
    const document = { ...described, ...extra };
    const below = await this.pack(root);
    const image: SnapshotImage = { below, document, history, ...(parentId === undefined ? {} : { parentId }) };
    const id = idOfSnapshotImage(image);
    if (images.stored(id) === undefined) this.#pending.set(id, image);
    return id;
  }
}
