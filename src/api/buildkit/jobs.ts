/** Jobs: each is one build of a client, whose calls (Solve, Status, those of the gateway) name it and come in any order. */
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { BUILD_JOB_KEEP_MS, BUILD_JOB_WAIT_MS, BUILD_JOBS_MAX } from "../../base/limits.ts";
import type { BuildContainer, BuildOutput, BuiltImage, Entitlement } from "../../engine/mod.ts";
import type { BuildStatus, Result } from "../../spec/buildkit.ts";
import type { Definition, DefinitionDraft } from "../../spec/llb.ts";
import type { ImageDocument, Platform } from "../../spec/oci-image.ts";
import type { CacheOption } from "../build/cache-places.ts";
import { OutputClip } from "./clip-output.ts";

/** What the client asks for by Solve. */
interface JobRequest {
  sessionId: string;
  outputs: readonly BuildOutput[];
  cacheImports: readonly CacheOption[];
  cacheExports: readonly CacheOption[];
  /** What it may ask for beyond what a container may do. */
  entitlements: ReadonlySet<Entitlement>;
  /** The graphs that it is given. */
  inputs: ReadonlyMap<string, Definition>;
}

/** What the gateway has made. */
export interface JobResult {
  /** What was made of it and of those for other platforms; undefined: it has not been exported yet. */
  image: BuiltImage | undefined;
  platform: Platform;
  /** The snapshot of the root file system, which is held. */
  root: string;
  hold: Disposable;
  /** What an image of it says, but for its layers. */
  document: Omit<ImageDocument, "rootfs"> | undefined;
  definition: DefinitionDraft;
}

export class Job {
  /** What is to be built, known once Solve has come. */
  readonly request = Promise.withResolvers<JobRequest>();
  /** What the client hands back at the end of its part: the result to export. */
  readonly returned = Promise.withResolvers<Result | undefined>();
  /** The front ends in containers that run for it. */
  frontendCount = 0;
  readonly #results = new Map<string, JobResult>();
  readonly #containers = new Map<string, BuildContainer>();
  /** What the answer to Solve says of the build, beside the image. */
  readonly answers = new Map<string, string>();
  readonly #abort = new AbortController();
  readonly #events: BuildStatus[] = [];
  readonly #outputClip = new OutputClip();
  #changed = Promise.withResolvers<void>();
  #isEnded = false;

  /** `ref` is what the client calls the build. */
  constructor(readonly ref: string) {
    this.request.promise.catch(() => {}); // a job that ends may have nobody who waits
    this.returned.promise.catch(() => {}); // the same
  }

  /** Aborts when the build is over, or nobody wants it any more. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  publish(event: BuildStatus): void {
    if (this.#isEnded) return;
    this.#events.push(this.#outputClip.clip(event));
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Keeps a result until the build ends. Returns its id. */
  keep(result: JobResult): string {
    const id = randomId();
    if (this.#isEnded) result.hold[Symbol.dispose]();
    else this.#results.set(id, result);
    return id;
  }

  /** @throws LighterError "conflict" for an id in use */
  addContainer(id: string, container: BuildContainer): void {
    if (this.#isEnded || this.#containers.has(id)) {
      void container[Symbol.asyncDispose]();
      throw new LighterError("conflict", `the container ${id} exists already, or the build has ended`);
    }
    this.#containers.set(id, container);
  }

  /** @throws LighterError "not-found" */
  container(id: string): BuildContainer {
    const container = this.#containers.get(id);
    if (container === undefined) throw new LighterError("not-found", `no such container: ${id}`);
    return container;
  }

  /** Ends what runs in a container. @throws LighterError "not-found" */
  async releaseContainer(id: string): Promise<void> {
    const container = this.container(id);
    this.#containers.delete(id);
    await container[Symbol.asyncDispose]();
  }

  /** @throws LighterError "not-found" */
  result(id: string): JobResult {
    const result = this.#results.get(id);
    if (result === undefined) throw new LighterError("not-found", `no such ref: ${id}`);
    return result;
  }

  end(reason: LighterError): void {
    this.#isEnded = true;
    for (const { hold } of this.#results.values()) hold[Symbol.dispose]();
    this.#results.clear();
    for (const container of this.#containers.values()) void container[Symbol.asyncDispose]();
    this.#containers.clear();
    this.#changed.resolve();
    this.request.reject(reason);
    this.returned.reject(reason);
    this.#abort.abort(reason);
  }

  /** Yields all that has happened, and what happens until the build ends. */
  async *events(signal: AbortSignal): AsyncGenerator<BuildStatus> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    for (let at = 0; !signal.aborted; ) {
      if (at < this.#events.length) yield this.#events[at++]!;
      else if (this.#isEnded) return;
      else await Promise.race([this.#changed.promise, aborted]);
    }
  }
}

/** The jobs of all clients. One is made by whichever call comes first, and kept for a while after its end. */
export class Jobs {
  readonly #jobs = new Map<string, Job>();

  has(ref: string): boolean {
    return this.#jobs.has(ref);
  }

  /** @throws LighterError "unavailable" if there are too many */
  get(ref: string): Job {
    const known = this.#jobs.get(ref);
    if (known !== undefined) return known;
    if (ref === "") throw new LighterError("invalid", "the call names no build");
    if (this.#jobs.size >= BUILD_JOBS_MAX)
      throw new LighterError("unavailable", `there are ${BUILD_JOBS_MAX} builds already`);
    const job = new Job(ref);
    this.#jobs.set(ref, job);
    const timer = setTimeout(() => this.end(ref), BUILD_JOB_WAIT_MS).unref();
    job.request.promise.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
    return job;
  }

  /** Ends the job. Its progress can be read for a little longer. */
  end(ref: string, reason = new LighterError("conflict", "the build has ended")): void {
    this.#jobs.get(ref)?.end(reason);
    setTimeout(() => this.#jobs.delete(ref), BUILD_JOB_KEEP_MS).unref();
  }
}
