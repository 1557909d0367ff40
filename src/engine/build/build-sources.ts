/** What a build copies from: its context, files of the Dockerfile, and images, each by an id that stands for its content. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import type { SourceOp } from "../../build/mod.ts";
import { runWithInput, type Trash } from "../../files/mod.ts";
import { writeContextJob } from "./build-jobs.ts";
import type { StepRoots } from "./step-roots.ts";

export class BuildSources implements Disposable {
  readonly contextId = "context";
  readonly digestsPath: string;
  readonly contextPath: string;
  readonly #roots: StepRoots;
  readonly #trash: Trash;
  /** A directory for all that is not kept. */
  readonly #path: string;
  /** The directories of sources that are no images, by id. */
  readonly #directories = new Map<string, string>();

  constructor(roots: StepRoots, trash: Trash) {
    this.#roots = roots;
    this.#trash = trash;
    this.#path = join(trash.path, randomId());
    mkdirSync(this.#path, { mode: 0o700 });
    this.contextPath = this.#newDirectory(this.contextId);
    this.digestsPath = join(this.#path, "digests");
  }

  [Symbol.dispose](): void {
    void this.#trash.discard(this.#path);
  }

  /** Writes the context. @throws LighterError for what is no tar, or a hostile one. */
  async receive(context: AsyncIterable<Uint8Array>): Promise<void> {
    const { contextPath, digestsPath } = this;
    await runWithInput(this.#roots.engine.workers, writeContextJob, { contextPath, digestsPath }, {}, context);
  }

  /** The directories of the layers of a root file system, topmost first. */
  layersOf(id: string): readonly string[] {
    if (id === "") return [];
    const directory = this.#directories.get(id);
    return directory === undefined ? this.#roots.images.layersOf(id).lowerDirs : [directory];
  }

  async open(op: SourceOp): Promise<string> {
    switch (op.kind) {
      case "local":
        return this.contextId;
      case "image":
        return op.reference === "scratch" ? "" : this.#roots.of(this.#roots.images.get(op.reference));
      case "files":
        return this.#files(op.files);
      default:
        throw new LighterError("not-supported", "ADD of a URL is not supported yet");
    }
  }

  #newDirectory(id: string): string {
    const path = join(this.#path, `${this.#directories.size}`);
    mkdirSync(path, { mode: 0o755 });
    this.#directories.set(id, path);
    return path;
  }

  #files(files: readonly { name: string; content: string }[]): string {
    const id = `files:${createHash("sha256").update(JSON.stringify(files)).digest("hex")}`;
    if (this.#directories.has(id)) return id;
    const directory = this.#newDirectory(id);
    for (const { name, content } of files) {
      const path = join(directory, posix.join("/", name)); // nothing else is in there, so no name leads out
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
      chmodSync(path, 0o644);
    }
    return id;
  }
}
