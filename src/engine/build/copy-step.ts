/** Executes COPY, ADD and WORKDIR, and hashes what is copied. */

import { PASSWD_MAX_BYTES } from "../../base/limits.ts";
import type { Vertex } from "../../build/mod.ts";
import { readFileInLayers, resolveUser } from "../../image/mod.ts";
import { copySourcesJob, hashSourcesJob, makeDirectoryInJob } from "./build-jobs.ts";
import type { StepRoots } from "./step-roots.ts";

type CopyOp = Extract<Vertex["op"], { kind: "copy" }>;
type MkdirOp = Extract<Vertex["op"], { kind: "mkdir" }>;

/** The id, among those of root file systems, of the build's context. */
export const CONTEXT_ID = "context";

export class CopySteps {
  readonly #roots: StepRoots;
  readonly #contextFd: number;
  readonly #signal: AbortSignal;

  constructor(roots: StepRoots, contextFd: number, signal: AbortSignal) {
    this.#roots = roots;
    this.#contextFd = contextFd;
    this.#signal = signal;
  }

  hash({ sources }: CopyOp, sourceId: string): Promise<string> {
    return this.#withSource(sourceId, (fd) => this.#workers.run(hashSourcesJob, { sources }, this.#with(fd)));
  }

  /** Copies into the root file system behind the fd, which was made from that of `root`. */
  async copy(op: CopyOp, rootFd: number, root: string, sourceId: string): Promise<void> {
    const argument = { ...op, owner: this.#ownerOf(op.owner, root) };
    await this.#withSource(sourceId, (from) => this.#workers.run(copySourcesJob, argument, this.#with(rootFd, from)));
  }

  async makeDirectory({ path }: MkdirOp, rootFd: number): Promise<void> {
    await this.#workers.run(makeDirectoryInJob, { path }, this.#with(rootFd));
  }

  get #workers() {
    return this.#roots.engine.workers;
  }

  #with(...fds: number[]) {
    return { fds, signal: this.#signal };
  }

  #withSource<T>(id: string, use: (fd: number) => Promise<T>): Promise<T> {
    return id === CONTEXT_ID ? use(this.#contextFd) : this.#roots.useRoot(id, use);
  }

  /** Finds the ids of an owner. As with Docker's classic builder a user alone stands for the group of that name, too. */
  #ownerOf(owner: string | undefined, root: string): { uid: number; gid: number } {
    if (owner === undefined) return { uid: 0, gid: 0 };
    const { lowerDirs } = this.#roots.images.layersOf(root);
    const read = (path: string) => readFileInLayers(lowerDirs, path, PASSWD_MAX_BYTES)?.toString("utf8") ?? "";
    const { uid, gid } = resolveUser(
      read("/etc/passwd"),
      read("/etc/group"),
      owner.includes(":") ? owner : `${owner}:${owner}`,
    );
    return { uid, gid };
  }
}
