/** Executes COPY, ADD and WORKDIR, and hashes what is copied. Nothing is mounted: the layers are there, and a new one is made. */
import { PASSWD_MAX_BYTES } from "../../base/limits.ts";
import type { ChangeOp, CopyOp, Vertex } from "../../build/mod.ts";
import { type Owner, readFileInLayers, resolveUser } from "../../image/mod.ts";
import { changeFilesJob, copySourcesJob, hashSourcesJob, makeDirectoryInJob } from "./build-jobs.ts";
import type { BuildSources } from "./build-sources.ts";
import type { StepRoots } from "./step-roots.ts";

type MkdirOp = Extract<Vertex["op"], { kind: "mkdir" }>;

/** How many digests are kept of one source. */
const DIGESTS_MAX = 1000;

export class CopySteps {
  readonly #roots: StepRoots;
  readonly #sources: BuildSources;

  constructor(roots: StepRoots, sources: BuildSources) {
    this.#roots = roots;
    this.#sources = sources;
  }

  async hash(op: CopyOp, sourceIds: readonly string[], signal: AbortSignal): Promise<string> {
    const known = sourceIds.length === 1 ? this.#sources.digestsOf(sourceIds[0]!) : undefined;
    const key = JSON.stringify(op);
    const digest =
      known?.get(key) ??
      (await this.#workers.run(hashSourcesJob, { op, ...this.#inputs(["", ...sourceIds]) }, { signal }));
    if (known !== undefined && known.size < DIGESTS_MAX) known.set(key, digest);
    return digest;
  }

  /** Copies onto the first input. Resolves with the id of the new root file system. */
  async copy(op: CopyOp, inputs: readonly string[], signal: AbortSignal): Promise<string> {
    const [root = ""] = inputs;
    for (const id of inputs.slice(1)) await this.#sources.fetch(id);
    const below = await this.#sources.directoriesOf(root);
    const argument = { op, ...this.#inputs(inputs), below, owner: ownerOf(op.owner, below) };
    return await this.#roots.addLayer(root, async ({ path, upper }) => {
      await this.#workers.run(copySourcesJob, { ...argument, upper, workPath: path }, { signal });
    });
  }

  /** Makes several changes to the first input. Resolves with the id of the new root file system. */
  async change({ actions }: ChangeOp, inputs: readonly string[], signal: AbortSignal): Promise<string> {
    const [root = ""] = inputs;
    for (const id of inputs.slice(1)) await this.#sources.fetch(id);
    const below = await this.#sources.directoriesOf(root);
    const owners = actions.map((action) => ("owner" in action ? ownerOf(action.owner, below) : null));
    return await this.#roots.addLayer(root, async ({ path: workPath, upper }) => {
      const argument = { actions, owners, ...this.#inputs(inputs), below, upper, workPath };
      await this.#workers.run(changeFilesJob, argument, { signal });
    });
  }

  async makeDirectory({ path }: MkdirOp, root: string, signal: AbortSignal): Promise<string> {
    const layers = await this.#sources.directoriesOf(root);
    return await this.#roots.addLayer(root, async ({ upper }) => {
      await this.#workers.run(makeDirectoryInJob, { path, layers, upper }, { signal });
    });
  }

  get #workers() {
    return this.#roots.engine.workers;
  }

  #inputs(ids: readonly string[]) {
    const trees = ids.map((id) => this.#sources.treeOf(id));
    return { trees, contextInput: ids.indexOf(this.#sources.contextId, 1) };
  }
}

/**
 * Finds the ids of an owner in the root file system that is copied into. As with Docker's classic builder a user alone stands for the
 * group of that name, too.
 */
function ownerOf(owner: string | undefined, layers: readonly string[]): Owner | null {
  if (owner === undefined) return null;
  const read = (path: string) => readFileInLayers(layers, path, PASSWD_MAX_BYTES)?.toString("utf8") ?? "";
  const { uid, gid } = resolveUser(
    read("/etc/passwd"),
    read("/etc/group"),
    owner.includes(":") ? owner : `${owner}:${owner}`,
  );
  return { uid, gid };
}
