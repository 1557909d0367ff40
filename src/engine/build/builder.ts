/** Builds images: receives a context, plans its Dockerfile, and has the plan solved. */
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { inSpan } from "../../base/spans.ts";
import { formatNow } from "../../base/time.ts";
import {
  type BuildPlan,
  type CommandParts,
  canonicalName,
  contextNeedOf,
  decodeCommand,
  type LayoutSource,
  planBuild,
  type Solve,
  Solver,
  stepNames,
  type Vertex,
  verticesOf,
} from "../../build/mod.ts";
import { measureTrees, Trash } from "../../files/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import { exportCaches, inlineCacheOf } from "../cache/export-cache.ts";
import { ImportedCaches } from "../cache/import-cache.ts";
import type { Engine } from "../engine.ts";
import { BuildContainer } from "../llb/build-container.ts";
import { type ExportRequest, exportRoots } from "../llb/export-root.ts";
import { RootReader } from "../llb/read-root.ts";
import { type FrontendRequest, runFrontend } from "../llb/run-frontend.ts";
import { type CachesRequest, type GraphRequest, type HeldRoot, solveGraph, solveGraphs } from "../llb/solve-graph.ts";
import { describeProvenance, type ProvenanceSource } from "../outputs/provenance.ts";
import type { Downloads } from "../sources/http-source.ts";
import { KeptContexts } from "../sources/kept-contexts.ts";
import { BuildCache } from "./build-cache.ts";
import type { BuildHistory } from "./build-history.ts";
import type { BuildRequest } from "./build-request.ts";
import { BuildSite, type SiteRequest, showPull } from "./build-site.ts";
import type { ServedTree } from "./build-sources.ts";
import { checkBuilt } from "./build-warnings.ts";
import { CacheHousehold } from "./cache-household.ts";
import { CacheMounts } from "./cache-mounts.ts";
import { explainPlan, withoutExecution } from "./explain-build.ts";
import type { BuiltImage } from "./export-build.ts";
import { type BuildTarget, buildTargets } from "./follow-plan.ts";
import type { GcSettings } from "./gc-policy.ts";
import { ImageChain } from "./image-chain.ts";
import { KnownFiles } from "./known-files.ts";
import { shownName } from "./read-dockerfile.ts";
import { runSettings } from "./run-step.ts";
import { StepRoots } from "./step-roots.ts";

/** The input that the Dockerfile is in, if the client gives one. */
const DOCKERFILE_INPUT = "dockerfile";

interface BuilderSettings {
  gc: GcSettings;
  /** The bytes of a file that ADD, or a context's URL, fetches. */
  downloadMaxBytes: number;
}

/** A container of a client's, whose mounts name results. */
interface ContainerRequest extends SiteRequest, CommandParts {
  /** The root file system of a result. @throws LighterError "not-found" */
  rootOf: (result: string) => string;
}

export class Builder implements Disposable {
  readonly #roots: StepRoots;
  readonly #cache: BuildCache;
  readonly #solver: Solver;
  readonly #cacheMounts: CacheMounts;
  readonly #kept: KeptContexts;
  /** The contexts of running builds, and those of ended ones, which are being deleted. */
  readonly trash: Trash;
  readonly household: CacheHousehold;
  /** The running builds by the ids of their records, and by those that their clients have given them. */
  readonly #running = new Map<string, Pick<BuildRequest, "cancel">>();
  readonly #downloads: Downloads;
  readonly #knownFiles = new KnownFiles();

  constructor(engine: Engine, images: ImageStore, { gc, downloadMaxBytes }: BuilderSettings) {
    this.trash = new Trash(join(engine.paths.dataRoot, "contexts"), engine.workers);
    this.#cache = new BuildCache(join(engine.paths.dataRoot, "build.db"), images);
    this.#cacheMounts = new CacheMounts({
      ...{ table: this.#cache.cacheMounts, path: join(engine.paths.dataRoot, "build-caches"), trash: this.trash },
      measure: async (path) => (await measureTrees(engine.workers, [path]))[0] ?? 0,
    });
    this.#kept = new KeptContexts(join(engine.paths.dataRoot, "build-contexts"), this.trash);
    const stores = [this.#cacheMounts, this.#kept];
    this.household = new CacheHousehold(this.#cache, stores, engine.paths.dataRoot, gc);
    this.#roots = new StepRoots(engine, images);
    this.#downloads = { table: this.#cache.downloads, maxBytes: downloadMaxBytes };
    this.#solver = new Solver(this.#cache);
  }

  [Symbol.dispose](): void {
    this.trash.close();
    this.#cache[Symbol.dispose]();
  }

  /** Removes what builds have left that is of no use. What cannot be removed now is left to the next build, or daemon. */
  async recover(): Promise<void> {
    try {
      await this.#cache.tidy();
      await this.#cacheMounts.recover();
    } catch (error) {
      log.error(`remove what builds have left: ${messageOf(error)}`);
    }
  }

  get history(): BuildHistory {
    return this.#cache.history;
  }

  /** Cancels the build of that id, if it runs. */
  cancel(id: string): void {
    this.#running.get(id)?.cancel(new LighterError("conflict", "context canceled"));
  }

  /** Builds an image. @throws LighterError; `StepFailed` */
  async build(request: BuildRequest): Promise<BuiltImage> {
    const { id, dockerfile, tags } = request;
    const named = request.outputs?.map(({ attrs }) => attrs.name).find(Boolean);
    const record = this.history.begin(tags[0] ?? named ?? dockerfile, request.ref);
    const ids = [record.build.id, ...(id === undefined ? [] : [id])];
    for (const each of ids) this.#running.set(each, request);
    try {
      const recorded: BuildRequest = {
        ...request,
        onStatus: (status) => {
          record.hear(status);
          request.onStatus(status);
        },
        onFailure: (failure) => {
          record.fail(failure);
          request.onFailure(failure);
        },
      };
      const built = await inSpan("build", () => this.#build(recorded));
      record.end({ image: built.id });
      return built;
    } catch (error) {
      record.end({ error });
      throw error;
    } finally {
      for (const each of ids) this.#running.delete(each);
      void this.household.collect();
    }
  }

  /** Says what a build would do with each step, without doing it. @throws LighterError */
  async explain(request: BuildRequest): Promise<string> {
    let text = "";
    await this.#build(request, (explained) => {
      text = explained;
    });
    return text;
  }

  /** Makes a client's graph into a root file system. @throws LighterError; `StepFailed` */
  async solve(request: GraphRequest): Promise<HeldRoot> {
    await using site = this.#site(request);
    try {
      return await solveGraph(site, this.#roots.images, request, this.#importCaches(request, site));
    } catch (error) {
      request.onFailure(site.progress.locate(error, "", ""));
      throw error;
    } finally {
      void this.household.collect();
    }
  }

  /** Leaves what graphs are made of where other daemons look for it. @throws LighterError; `StepFailed` */
  async leaveCaches(request: CachesRequest): Promise<void> {
    await using site = this.#site(request);
    const { progress, signal } = site;
    const solve = await solveGraphs(site, request, this.#importCaches(request, site));
    const options = { images: this.#roots.images, cache: this.#cache, solve, progress, signal };
    await exportCaches(request, { ...options, targets: request.vertices });
  }

  /** Puts root file systems where they are asked for, as an image for several platforms if there are several. */
  async export(request: ExportRequest): Promise<BuiltImage> {
    return await exportRoots(this.#roots, request);
  }

  /** Opens a container for a client to look around in, in which nothing runs yet. @throws LighterError for mounts that cannot be */
  openContainer({ mounts, network, extraHosts, hostname, rootOf, ...request }: ContainerRequest): BuildContainer {
    const command = decodeCommand({ mounts, network, extraHosts, hostname });
    const inputs = command.results.map((result) => (result === "" ? "" : rootOf(result)));
    const options = { engine: this.#roots.engine, op: command.op, inputs, signal: request.signal };
    return new BuildContainer({ ...options, site: this.#site(request) });
  }

  /** Runs a front end that is an image. `serve` gets its streams, and resolves when they are closed. @throws LighterError; `StepFailed` */
  async runFrontend(request: FrontendRequest, serve: (stdio: Duplex) => Promise<void>): Promise<void> {
    await runFrontend(this.#roots, request, serve);
  }

  /** Builds or, if somebody hears an explanation, explains. */
  async #build(request: BuildRequest, onExplained?: (text: string) => void): Promise<BuiltImage> {
    const started = formatNow();
    await using site = this.#site(request);
    const { sources, progress, output, signal } = site;
    const definition = { text: "", vertex: "" };
    try {
      const { served, remote } = request;
      const receive = (context: BuildRequest["context"] | ServedTree) =>
        progress.task("[internal] load build context", async ({ part }) => {
          let current = 0;
          const use = (body: Parameters<typeof sources.receive>[0]["context"]) =>
            sources.receive({ context: body, remote }, (byteCount) => {
              current = byteCount;
              part("transferring context:", { current });
            });
          await ("handTo" in context ? context.handTo(use) : use(context));
          part("transferring context:", { current, completed: true });
        });
      if (served?.context === undefined) await receive(request.context);
      const { noCache } = request;
      let isSkipped: (vertex: Vertex) => boolean = () => false;
      const solve = site.solve({
        ...{ noCache, skipsCache: (vertex) => isSkipped(vertex) },
        imported: this.#importCaches(request, site),
        ...(onExplained !== undefined && { change: withoutExecution }),
      });
      Object.assign(definition, await this.#readDockerfile(site, request, solve));
      for (const { vertex } of request.contextInputs?.values() ?? []) await site.fetchImages(verticesOf(vertex));
      const targets = await this.#plan(definition.text, request, site);
      const all = { stages: targets.flatMap(({ plan }) => plan.stages) };
      const need = contextNeedOf(all);
      if (served?.context !== undefined && need !== "nothing")
        await receive(served.context(need === "everything" ? undefined : need));
      progress.announce(stepNames(all));
      if (request.wantsWarnings)
        progress.warn(checkBuilt(this.#roots.images, definition.text, request, definition.vertex));
      const { engine, images } = this.#roots;
      isSkipped = stepsOf(all, request.noCacheStages);
      if (onExplained !== undefined) {
        onExplained(await explainPlan({ plan: all, solve, cache: this.#cache, noCache }));
        return { id: "" };
      }
      try {
        const parts = { solve, engine, images, output, progress, request };
        return await this.#make(targets, parts, { dockerfile: definition.text, started, signal });
      } catch (error) {
        // What was there before the failure may be run.
        for (const { chain } of targets)
          await chain.store().catch((cause) => log.error(`store the images of a failed build: ${messageOf(cause)}`));
        throw error;
      }
    } catch (error) {
      request.onFailure(progress.locate(error, request.dockerfile, definition.text));
      throw error;
    }
  }

  /** Has the steps done and exported, and leaves what was done where other daemons look for it. */
  async #make(
    targets: readonly BuildTarget[],
    parts: Omit<Parameters<typeof buildTargets>[1], "imageExtra" | "provenance">,
    { dockerfile, started, signal }: { dockerfile: string; started: string; signal: AbortSignal },
  ): Promise<BuiltImage> {
    const { request, solve, images, progress } = parts;
    const caches = { images, cache: this.#cache, solve, progress, signal };
    const made = { request, solve, images, dockerfile, started };
    const built = await buildTargets(targets, {
      ...parts,
      imageExtra: (plan) => inlineCacheOf(request, { ...caches, targets: [targetOf(plan)] }),
      provenance: (target) => describeTarget(target, made, targets.length > 1),
    });
    await exportCaches(request, { ...caches, targets: targets.map(({ plan }) => targetOf(plan)) });
    return built;
  }

  #importCaches(
    { cacheImports = [], targetPlatforms }: Pick<BuildRequest, "cacheImports" | "targetPlatforms">,
    { progress, held, signal }: BuildSite,
  ): ImportedCaches | undefined {
    if (cacheImports.length === 0) return undefined;
    const { images } = this.#roots;
    const platforms = targetPlatforms ?? [images.platform];
    return new ImportedCaches(cacheImports, { progress, held, signal, images, platforms });
  }

  #site(request: SiteRequest): BuildSite {
    return new BuildSite({
      ...{ roots: this.#roots, trash: this.trash, caches: this.#cacheMounts, solver: this.#solver, request },
      ...{ downloads: this.#downloads, knownFiles: this.#knownFiles, kept: this.#kept },
      onLeft: () => this.recover(), // a step that was done anew has taken another one's place in the cache
    });
  }

  async #readDockerfile({ sources, progress }: BuildSite, request: BuildRequest, solve: Solve) {
    const { dockerfile: path, served, contextInputs } = request;
    const input = contextInputs?.get(DOCKERFILE_INPUT)?.vertex;
    const readInput = async (vertex: Vertex) =>
      new RootReader(this.#roots.images, (await solve(vertex)).id).readFile(path);
    const name = `[internal] load build definition from ${shownName(path)}`;
    return await progress.task(name, async ({ part, digest: vertex }) => {
      const given = input === undefined ? await served?.readDockerfile() : await readInput(input);
      const text = given?.toString() ?? (await sources.readDockerfile(path));
      part("transferring dockerfile:", { current: text.length, completed: true });
      return { text, vertex };
    });
  }

  /** Plans the build for each platform. */
  async #plan(dockerfile: string, request: BuildRequest, { progress, sources }: BuildSite): Promise<BuildTarget[]> {
    const { images } = this.#roots;
    const { platform } = images;
    const resolveImage = async (reference: string, wanted: Platform | undefined) => {
      const name = `[internal] load metadata for ${canonicalName(reference)}`;
      const id = await progress.task(name, ({ part }) => request.fetchImage(reference, showPull(part), wanted));
      // The name is that of the image for this platform.
      const isOwn = wanted === undefined || formatPlatform(wanted) === formatPlatform(platform);
      return { config: images.get(id).document.config, reference: isOwn ? reference : id };
    };
    const resolveLayout = async (source: LayoutSource, wanted: Platform | undefined) => {
      const name = `[internal] load metadata for oci-layout://${source.store}@${source.digest}`;
      const { digest, document } = await progress.task(name, () => sources.layout(source, wanted));
      const op = { ...source, digest };
      return { vertex: { op, inputs: [], name: `FROM oci-layout://${op.store}@${digest}` }, image: document };
    };
    const { entitlements = new Set(), hostConfig, targetPlatforms = [undefined], noCache, hasStepImages } = request;
    const showsPlatform = targetPlatforms.length > 1;
    const targets: BuildTarget[] = [];
    for (const targetPlatform of targetPlatforms) {
      const plan = await planBuild(dockerfile, {
        ...{
          ...request,
          entitlements,
          settings: { ...runSettings(hostConfig), ...hostnameOf(request) },
          platform,
          resolveImage,
          resolveLayout,
        },
        ...{ targetPlatform, showsPlatform, isClassic: hasStepImages },
      });
      const own = targetPlatform ?? platform;
      const options = { images, cache: this.#cache, noCache, hasSteps: hasStepImages, ...timesOf(request) };
      targets.push({ platform: own, plan, chain: new ImageChain({ ...options, platform: own }) });
    }
    return targets;
  }
}

/** The name that commands see of their host, if another is asked for than the usual one. */
function hostnameOf({ hostname, buildArgs }: BuildRequest): { hostname?: string } {
  const name = hostname || buildArgs.get("BUILDKIT_SANDBOX_HOSTNAME");
  return name ? { hostname: name } : {};
}

/** Describes how an image was made, if that is asked for, and tells the client. `isOneOfSeveral`: platforms. */
async function describeTarget(
  { plan, platform }: BuildTarget,
  made: Omit<ProvenanceSource, "target" | "platform">,
  isOneOfSeveral: boolean,
): Promise<object | undefined> {
  const { provenance: options, onAnswer } = made.request;
  if (options === undefined) return undefined;
  const predicate = await describeProvenance(options, { ...made, target: targetOf(plan), platform });
  const name = `buildx.build.provenance${isOneOfSeveral ? `/${formatPlatform(platform)}` : ""}`;
  onAnswer?.(name, Buffer.from(JSON.stringify(predicate)).toString("base64"));
  return predicate;
}

/** What a plan's image is made of. */
function targetOf({ stages }: BuildPlan): Vertex | undefined {
  const last = stages.at(-1);
  return last?.vertex ?? last?.baseVertex;
}

/** Tells the steps of the stages with these names. */
function stepsOf({ stages }: Pick<BuildPlan, "stages">, names: readonly string[] = []): (vertex: Vertex) => boolean {
  const wanted = new Set(names.filter(Boolean).map((name) => name.toLowerCase()));
  const chosen = stages.filter(({ label }) => wanted.has(label));
  const vertices = new Set(chosen.flatMap(({ steps }) => steps.map(({ vertex }) => vertex)));
  return (vertex) => vertices.has(vertex);
}

/** The time that all of the image is to have, and whether its layers are, too. Source: reproducible-builds.org, SOURCE_DATE_EPOCH. */
function timesOf({ buildArgs, outputs = [] }: BuildRequest): {
  epochSeconds: number | undefined;
  rewritesTimes: boolean;
} {
  const text = buildArgs.get("SOURCE_DATE_EPOCH") ?? "";
  if (!/^\d{0,11}$/.test(text)) throw new LighterError("invalid", `invalid SOURCE_DATE_EPOCH: ${text}`);
  return {
    epochSeconds: text === "" ? undefined : Number(text),
    rewritesTimes: outputs.some(({ attrs }) => attrs["rewrite-timestamp"] === "true"),
  };
}
