/** Prepares the mounts of a step beside its root file system. */
import type { ExecMount, ExecOp } from "../../build/mod.ts";
import { isDirectoryInLayers, planLayersMount, type StepDirectory } from "../../image/mod.ts";
import { closeFilesystem, type SharedFilesystem } from "../../runtime/mod.ts";
import type { OciMount, VolumeMount } from "../../spec/oci-runtime.ts";
import type { Engine } from "../engine.ts";
import { fillJob } from "../files/file-jobs.ts";
import type { BuildInputs } from "./build-request.ts";
import type { BuildSources } from "./build-sources.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { ClientFiles, secretNotFound } from "./client-files.ts";
import type { StepRoots } from "./step-roots.ts";

interface Parts {
  roots: StepRoots;
  sources: BuildSources;
  caches: CacheMounts;
  inputs: BuildInputs;
  signal: AbortSignal;
}

type MountOf<T extends ExecMount["type"]> = Extract<ExecMount, { type: T }>;

/** What a start gets in addition. It stays until the step has ended. */
export class StepMounts implements AsyncDisposable {
  readonly mounts: VolumeMount[] = [];
  readonly filesystems: SharedFilesystem[] = [];
  readonly env: string[] = [];
  /** What is written into the binds, by their numbers among the mounts. */
  readonly #written = new Map<number, { root: string; directory: StepDirectory }>();
  readonly #engine: Engine;
  readonly #parts: Parts;
  readonly #undo = new AsyncDisposableStack();

  /** Makes the mounts of an operation. `ids`: its inputs'. @throws LighterError, and then nothing is left */
  static async prepare(op: ExecOp, ids: readonly string[], parts: Parts): Promise<StepMounts> {
    const prepared = new StepMounts(parts);
    try {
      await prepared.#prepare(op, ids);
      return prepared;
    } catch (error) {
      await prepared[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(parts: Parts) {
    this.#engine = parts.roots.engine;
    this.#parts = parts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.disposeAsync();
  }

  /** Keeps what a bind has after the step as a root file system. Returns its id. */
  commit(index: number): string {
    const { root, directory } = this.#written.get(index)!;
    return this.#parts.roots.commit(root, directory);
  }

  async #prepare({ mounts, secretEnv }: ExecOp, ids: readonly string[]): Promise<void> {
    const { inputs } = this.#parts;
    const ofClient: MountOf<"secret" | "ssh">[] = [];
    for (const [index, mount] of mounts.entries()) {
      if (mount.type === "bind") await this.#bind(index, mount, ids[mount.input] ?? "");
      else if (mount.type === "cache") await this.#cache(mount, ids);
      else if (mount.type === "tmpfs") this.mounts.push(tmpfsMount(mount));
      else ofClient.push(mount);
    }
    if (ofClient.length > 0) await this.#ofClient(ofClient);
    for (const { id, name, optional } of secretEnv) {
      const secret = await inputs.secret(id);
      if (secret !== undefined) this.env.push(`${name}=${Buffer.from(secret).toString("utf8")}`);
      else if (!optional) throw secretNotFound(id);
    }
  }

  /** A view of the source's layers. What is written into it goes to a layer that nobody keeps. */
  async #bind(index: number, { target, source, readOnly }: MountOf<"bind">, id: string): Promise<void> {
    const layers = await this.#layersOf(id);
    const directory = this.#parts.roots.images.snapshots.beginStep();
    this.#written.set(index, { root: id, directory });
    this.#undo.defer(() => this.#parts.roots.images.snapshots.discardStep(directory));
    const { upper, work } = directory;
    this.#parts.roots.setRoot(directory, id);
    const mount = planLayersMount(`the source of ${target}`, layers, { upperPath: upper, workPath: work });
    const filesystem = await this.#mountAside(mount);
    this.mounts.push({
      ...{ destination: target, type: "bind", source: "/", filesystem, options: ["rbind", readOnly ? "ro" : "rw"] },
      ...(source === "/" ? {} : { part: { path: source.slice(1), type: typeIn(layers, source) } }),
    });
  }

  async #cache(wish: MountOf<"cache">, ids: readonly string[]): Promise<void> {
    const { target, readOnly, from } = wish;
    const { path, isNew } = this.#undo.use(await this.#parts.caches.use(wish, this.#parts.signal));
    if (isNew && from !== undefined) {
      const layers = await this.#layersOf(ids[from.input] ?? "");
      await this.#engine.workers.run(fillJob, { layers, from: from.source, to: path, ifEmpty: true });
    }
    const options = ["bind", readOnly ? "ro" : "rw"];
    this.mounts.push({ destination: target, type: "bind", source: path, kind: "directory", options });
  }

  /** Secrets and agents are in a file system in memory, which goes with the step. */
  async #ofClient(mounts: readonly MountOf<"secret" | "ssh">[]): Promise<void> {
    const options = ["mode=0711", "nosuid", "nodev", "noexec"];
    const filesystem = await this.#mountAside({ type: "tmpfs", source: "tmpfs", options });
    const files = this.#undo.use(new ClientFiles(this.filesystems[filesystem]!, this.#parts.inputs));
    for (const mount of mounts) {
      const name = await files.add(mount);
      if (name === undefined) continue;
      if (mount.type === "ssh" && !this.env.some((variable) => variable.startsWith("SSH_AUTH_SOCK=")))
        this.env.push(`SSH_AUTH_SOCK=${mount.target}`);
      const part = { path: name, type: "file" } as const;
      const { target } = mount;
      this.mounts.push({ destination: target, type: "bind", source: "/", filesystem, part, options: ["bind", "ro"] });
    }
  }

  async #layersOf(id: string): Promise<readonly string[]> {
    const layers = await this.#parts.sources.directoriesOf(id);
    return layers.length > 0 ? layers : this.#parts.roots.images.layersOf("").lowerDirs;
  }

  /** Mounts a file system for this step alone. Returns its number. */
  async #mountAside(mount: Pick<OciMount, "type" | "source" | "options">): Promise<number> {
    const filesystem = await this.#engine.mountedVolumes.mountAside(mount);
    this.#undo.defer(() => closeFilesystem(filesystem));
    return this.filesystems.push(filesystem) - 1;
  }
}

function tmpfsMount({ target, sizeBytes, readOnly }: MountOf<"tmpfs">): VolumeMount {
  const size = sizeBytes > 0 ? [`size=${sizeBytes}`] : [];
  const options = ["nosuid", "noexec", "nodev", ...size, ...(readOnly ? ["ro"] : [])];
  return { destination: target, type: "tmpfs", source: "tmpfs", options };
}

function typeIn(layers: readonly string[], path: string): "directory" | "file" {
  return isDirectoryInLayers(layers, path) ? "directory" : "file";
}
