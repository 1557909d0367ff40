/** The containers in which steps are executed. */
import { randomId } from "../../base/ids.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { withContainerRoot } from "../files/container-root.ts";
import type { BuildCache } from "./build-cache.ts";

export class StepContainers {
  readonly engine: Engine;
  readonly #cache: BuildCache;

  constructor(engine: Engine, cache: BuildCache) {
    this.engine = engine;
    this.#cache = cache;
  }

  /** Removes the containers that an earlier daemon's builds have left. */
  async recover(): Promise<void> {
    for (const name of this.#cache.containers()) {
      const container = this.engine.findIf(name);
      if (container !== undefined) await this.engine.remove(container, { force: true, volumes: true });
      this.#cache.forgetContainer(name);
    }
  }

  /** Runs `use` with a container for the build. If this daemon is killed meanwhile, the next one finds its name and removes it. */
  async use<T>(imageId: string, body: object, use: (container: Container) => Promise<T>): Promise<T> {
    const name = `build-${randomId().slice(0, 24)}`;
    this.#cache.noteContainer(name);
    try {
      const { id } = await this.engine.create({ ...body, Image: imageId }, name);
      const container = this.engine.find(id);
      try {
        return await use(container);
      } finally {
        await this.engine.remove(container, { force: true, volumes: true });
      }
    } finally {
      this.#cache.forgetContainer(name);
    }
  }

  /** Runs `use` with the root file system of an image. */
  useRoot<T>(id: string, use: (fd: number) => Promise<T>): Promise<T> {
    return this.use(id, NOTHING, (container) => withContainerRoot(this.engine, container, use));
  }
}

/** The body of a container in which nothing runs. */
export const NOTHING = {
  Cmd: ["/"],
  WorkingDir: "/",
  HostConfig: { NetworkMode: "none", LogConfig: { Type: "none" } },
};
