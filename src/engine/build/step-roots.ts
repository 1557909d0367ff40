/**
 * The root file systems of steps: snapshots of the image store. Each is looked at, or changed to the next one, as a mount that
 * nobody else sees.
 */
import { chmodSync, chownSync, lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { randomId } from "../../base/ids.ts";
import type { Image, ImageStore, SnapshotLayer, StepDirectory } from "../../image/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { Engine } from "../engine.ts";
import { newRecord } from "../state/new-record.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";

/** A root file system that a step changes. */
export interface StepRoot {
  record: ContainerRecord;
  paths: ContainerPaths;
}

export class StepRoots {
  readonly engine: Engine;
  readonly images: ImageStore;

  constructor(engine: Engine, images: ImageStore) {
    this.engine = engine;
    this.images = images;
  }

  /** The snapshot of an image's layers. Its id stands for their content. */
  of({ id, chainIds }: Image): string {
    const chainId = chainIds.at(-1) ?? "";
    if (chainId !== "" && !this.images.snapshots.has(chainId)) {
      const { layers, document } = this.images.stored(id)!;
      this.images.snapshots.addLayers(chainId, layers, document.rootfs.diff_ids);
    }
    return chainId;
  }

  /**
   * Lets `change` change a root file system, with a container's settings, and keeps the result as a snapshot. Resolves with its id.
   */
  async change(root: string, body: StepBody, change: (step: StepRoot) => Promise<void>): Promise<string> {
    return await this.use(root, body, async (step, directory) => {
      await change(step);
      return this.commit(root, directory);
    });
  }

  /** Calls `use` with a root file system that may be changed, and is gone afterwards unless it has been committed. */
  async use<T>(
    root: string,
    body: StepBody,
    use: (step: StepRoot, directory: StepDirectory) => Promise<T>,
  ): Promise<T> {
    return await this.#withDirectory(root, async (directory) =>
      use(await this.#step(root, body, directory), directory),
    );
  }

  /** The root file system of a step that has ended, for another one. */
  async continue(root: string, body: StepBody, directory: StepDirectory): Promise<StepRoot> {
    // A mark of volatile mounts: none after the first has the same upper directory, as the disk may have lost some of it.
    rmSync(join(directory.work, "work/incompat/volatile"), { recursive: true, force: true });
    return await this.#step(root, body, directory);
  }

  async #step(root: string, body: StepBody, directory: StepDirectory): Promise<StepRoot> {
    const id = randomId();
    return { record: await this.#recordOf(id, root, body), paths: this.engine.paths.step(id, directory.path) };
  }

  /** Keeps what was changed in a root file system as a snapshot. Returns its id. */
  commit(root: string, directory: StepDirectory): string {
    const id = randomId();
    this.images.snapshots.commit(id, root, directory, this.#ownRoot(root, directory));
    return id;
  }

  /**
   * Keeps the layer that `make` makes over a root file system, in the upper directory, as a snapshot. Resolves with its id.
   */
  async addLayer(root: string, make: (directory: StepDirectory) => Promise<void>): Promise<string> {
    return await this.#withDirectory(root, async (directory) => {
      this.setRoot(directory, root);
      await make(directory);
      return this.commit(root, directory);
    });
  }

  /** Makes a snapshot of layers that there are. Resolves with its id. */
  async compose(layers: readonly SnapshotLayer[]): Promise<string> {
    const id = randomId();
    this.images.snapshots.compose(id, layers);
    return id;
  }

  /** Gives "/" the attributes that it has below; those of a directory that is no snapshot are the usual ones. */
  setRoot({ upper }: StepDirectory, root: string): void {
    const isSnapshot = root === "" || this.images.snapshots.has(root);
    const { mode, uid, gid } = isSnapshot ? this.images.layersOf(root).root : { mode: 0o755, uid: 0, gid: 0 };
    chownSync(upper, uid, gid);
    chmodSync(upper, mode);
  }

  /** Holds `root` and has a step's directory while `use` runs. */
  async #withDirectory<T>(root: string, use: (directory: StepDirectory) => Promise<T>): Promise<T> {
    const { snapshots } = this.images;
    using _held = snapshots.hold(root);
    const directory = snapshots.beginStep();
    try {
      return await use(directory);
    } finally {
      // Nobody waits for it: until the new snapshot is held, no other work may come in between.
      void snapshots.discardStep(directory);
    }
  }

  async #recordOf(id: string, root: string, body: StepBody): Promise<ContainerRecord> {
    const { warnings: _, ...plan } = await this.engine.planner.planCreate(body, id, {});
    return newRecord({ ...plan, imageId: root, inScope: false }, id, `build-${id.slice(0, NAME_DIGITS)}`);
  }

  /** The attributes of "/" in the upper directory, if they are not those below. */
  #ownRoot(root: string, { upper }: StepDirectory) {
    const below = this.images.layersOf(root).root;
    const { mode, uid, gid } = lstatSync(upper);
    const own = { mode: mode & 0o7777, uid, gid };
    return own.mode === below.mode && uid === below.uid && gid === below.gid ? undefined : own;
  }
}

const NAME_DIGITS = 24;

/** The part of a container's create request that a step needs. */
export interface StepBody {
  Cmd: readonly string[];
  WorkingDir: string;
  Env?: readonly string[];
  User?: string;
  Entrypoint?: readonly string[];
  Tty?: boolean;
  Hostname?: string;
  HostConfig: DockerHostConfig;
}
