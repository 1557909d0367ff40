/** Builds images: each step of the graph runs in a container of its own, and its files are kept as layers. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { LighterError, messageOf } from "../../base/errors.ts";
import { randomId, shortId } from "../../base/ids.ts";
import { PASSWD_MAX_BYTES } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { formatNow } from "../../base/time.ts";
import {
  type BuildPlan,
  type PlannedStage,
  type PlanOptions,
  planBuild,
  Solver,
  type Vertex,
  type Workshop,
} from "../../build/mod.ts";
import { runWithInput, Trash } from "../../files/mod.ts";
import { type Image, type ImageStore, makeImage, readFileInLayers, resolveUser } from "../../image/mod.ts";
import { bytePath, O_DIRECTORY, O_PATH } from "../../linux/sys/fs.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { type ImageDocument, parseImageConfig } from "../../spec/oci-image.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { withChanges } from "../files/container-files.ts";
import { withContainerRoot } from "../files/container-root.ts";
import { writeFilesJob } from "../files/file-jobs.ts";
import { attach } from "../process/attach.ts";
import { killForGood } from "../process/control.ts";
import { FrameReader } from "../process/frame-reader.ts";
import { BuildCache } from "./build-cache.ts";
import { copySourcesJob, hashSourcesJob, makeDirectoryInJob } from "./build-jobs.ts";

interface BuildRequest extends Omit<PlanOptions, "resolveImage" | "platform"> {
  /** The build's context: a tar, compressed or not. */
  context: AsyncIterable<Uint8Array>;
  dockerfile: string;
  tags: readonly string[];
  noCache: boolean;
  /** The limits and other settings of steps' containers. */
  hostConfig: DockerHostConfig;
  /** Makes sure that the image is in the store. */
  fetchImage: (reference: string) => Promise<void>;
  signal: AbortSignal;
  /** Receives Docker's texts for people. */
  say: (text: string) => void;
}

/** The failure of a command in the Dockerfile. */
export class StepFailed extends LighterError {
  constructor(
    readonly exitCode: number,
    command: string,
  ) {
    super("invalid", `The command '${command}' returned a non-zero code: ${exitCode}`);
  }
}

type History = ImageDocument["history"];

export class Builder implements Disposable {
  readonly #engine: Engine;
  readonly #images: ImageStore;
  readonly #cache: BuildCache;
  readonly #solver: Solver;
  /** The contexts of running builds, and those of ended ones, which are being deleted. */
  readonly trash: Trash;
  #active = 0;

  constructor(engine: Engine, images: ImageStore) {
    this.#engine = engine;
    this.#images = images;
    this.trash = new Trash(join(engine.paths.dataRoot, "contexts"), engine.workers);
    this.#cache = new BuildCache(join(engine.paths.dataRoot, "build.db"), images);
    this.#solver = new Solver(this.#cache);
  }

  [Symbol.dispose](): void {
    this.trash.close();
    this.#cache[Symbol.dispose]();
  }

  /** Removes what an earlier daemon's builds have left. What cannot be removed now is left to the next daemon. */
  async recover(): Promise<void> {
    try {
      for (const name of this.#cache.containers()) {
        const container = this.#engine.findIf(name);
        if (container !== undefined) await this.#engine.remove(container, { force: true, volumes: true });
        this.#cache.forgetContainer(name);
      }
      await this.#cache.tidy();
    } catch (error) {
      log.error(`remove what builds have left: ${messageOf(error)}`);
    }
  }

  /** Lists the steps, as in Docker's `system df`. */
  listCache(): ReturnType<BuildCache["list"]> {
    return this.#cache.list(this.#active > 0);
  }

  /** Forgets all steps, unless a build is at work. */
  async pruneCache(): Promise<{ ids: string[]; bytes: number }> {
    if (this.#active > 0) return { ids: [], bytes: 0 };
    const records = this.listCache();
    this.#cache.clear();
    await this.#cache.tidy();
    return { ids: records.map(({ ID }) => ID), bytes: records.reduce((sum, { Size }) => sum + Size, 0) };
  }

  /** Builds an image. Resolves with its id. @throws LighterError; `StepFailed` */
  async build(request: BuildRequest): Promise<string> {
    this.#active++;
    const aborter = new AbortController();
    const signal = AbortSignal.any([request.signal, aborter.signal]);
    const contextPath = join(this.trash.path, randomId());
    mkdirSync(contextPath, { mode: 0o755 });
    const contextFd = openSync(contextPath, O_PATH | O_DIRECTORY);
    const steps = new Set<Promise<unknown>>();
    try {
      await this.#receive(contextFd, request.context);
      const plan = await this.#plan(contextPath, request);
      const output = new StepOutput(request.say);
      const workshop = this.#workshop(
        contextFd,
        { ...request, signal },
        (vertex, text) => output.add(vertex, text),
        steps,
      );
      const solve = this.#solver.begin({ workshop, noCache: request.noCache, signal });
      return await this.#follow(plan, solve, output, request);
    } finally {
      aborter.abort(new LighterError("conflict", "the build has ended"));
      await Promise.allSettled(steps);
      closeSync(contextFd);
      void this.trash.discard(contextPath);
      this.#active--;
    }
  }

  async #receive(contextFd: number, context: BuildRequest["context"]): Promise<void> {
    const target = { asGiven: "/", path: bytePath("/"), containerRef: "" };
    const argument = { target, keepKinds: false, idMappings: null, form: "plain" as const };
    await runWithInput(this.#engine.workers, writeFilesJob, argument, { fds: [contextFd] }, context);
  }

  async #plan(contextPath: string, request: BuildRequest): Promise<BuildPlan> {
    const { dockerfile, fetchImage } = request;
    const text = readFileInLayers([contextPath], `/${dockerfile}`, DOCKERFILE_MAX_BYTES);
    if (text === undefined) throw new LighterError("invalid", `Cannot locate specified Dockerfile: ${dockerfile}`);
    const { os, architecture } = this.#images.platform;
    const resolveImage = async (reference: string) => {
      await fetchImage(reference);
      return this.#images.get(reference).document.config;
    };
    return await planBuild(text.toString("utf8"), { ...request, platform: { os, architecture }, resolveImage });
  }

  /** Runs the stages. All begin at once; their output is shown in the order of the Dockerfile. */
  async #follow(
    { globalArgs, stages }: BuildPlan,
    solve: ReturnType<Solver["begin"]>,
    output: StepOutput,
    { say, tags }: BuildRequest,
  ): Promise<string> {
    for (const { vertex } of stages) if (vertex !== undefined) void solve(vertex).catch(() => {}); // told at its turn
    const count = stages.reduce((sum, { steps }) => sum + 1 + steps.length, globalArgs.length);
    const histories = new Map<PlannedStage, History>();
    let [at, id] = [0, ""];
    for (const text of globalArgs) say(`Step ${++at}/${count} : ${text}\n`);
    for (const stage of stages) {
      say(`Step ${++at}/${count} : ${stage.from}\n`);
      const base = stage.baseReference === undefined ? undefined : this.#images.get(stage.baseReference);
      const history = [...(base?.document.history ?? histories.get(stage.baseStage!) ?? [])];
      histories.set(stage, history);
      const rootOf = stage.baseReference === undefined ? "" : await this.#hiddenBase(base!);
      let root = stage.baseStage === undefined ? rootOf : await solved(stage.baseStage, solve);
      say(` ---> ${base === undefined ? "" : shortId(base.id)}\n`);
      for (const step of stage.steps) {
        say(`Step ${++at}/${count} : ${step.text}\n`);
        const before = this.#layerCount(root);
        if (step.vertex !== undefined) {
          output.show(step.vertex);
          const { id: made, isCached } = await solve(step.vertex);
          if (isCached) say(" ---> Using cache\n");
          root = made;
        }
        const isEmpty = this.#layerCount(root) === before;
        history.push({ created: formatNow(), created_by: step.createdBy, ...(isEmpty ? { empty_layer: true } : {}) });
        if (step !== stages.at(-1)!.steps.at(-1)) say(` ---> ${shortId(root)}\n`);
      }
      if (stage === stages.at(-1)) id = await this.#export(root, stage, history);
    }
    say(` ---> ${shortId(id)}\n`);
    say(`Successfully built ${shortId(id)}\n`);
    for (const tag of tags) {
      await this.#images.tag(id, tag);
      say(`Successfully tagged ${tag}\n`);
    }
    return id;
  }

  #layerCount(id: string): number {
    return id === "" ? 0 : this.#images.layerSizesOf(id).length;
  }

  #export(root: string, { config, author }: PlannedStage, history: History): Promise<string> {
    const { os, architecture } = this.#images.platform;
    return makeImage(this.#images, {
      base: root === "" ? undefined : this.#images.get(root),
      document: {
        ...{ created: formatNow(), architecture, os, config: parseImageConfig(config, "config") },
        ...(author === undefined ? {} : { author }),
      },
      history,
      layer: async () => undefined,
      name: undefined,
    });
  }

  // --- Steps ---

  /** Makes a hidden image from the image's layers alone: a step has no use for its volumes and its command. */
  #hiddenBase(image: Image): Promise<string> {
    return makeImage(this.#images, { ...this.#hidden(image), layer: async () => undefined });
  }

  #hidden(base: Image | undefined) {
    const { os, architecture } = this.#images.platform;
    return { base, document: { architecture, os, config: {} }, history: [], name: undefined, isCache: true };
  }

  #workshop(
    contextFd: number,
    { hostConfig, signal }: BuildRequest,
    onOutput: (vertex: Vertex, text: string) => void,
    steps: Set<Promise<unknown>>,
  ): Workshop {
    const tracked = <T>(step: Promise<T>): Promise<T> => {
      const ended = step.catch(() => {}).finally(() => steps.delete(ended)); // the solver hears of it
      steps.add(ended);
      return step;
    };
    const withSource = <T>(id: string, use: (fd: number) => Promise<T>): Promise<T> =>
      id === CONTEXT_ID ? use(contextFd) : this.#withRoot(id, use);
    return {
      source: async (op) => {
        if (op.kind === "local") return CONTEXT_ID;
        return op.reference === "scratch" ? "" : await this.#hiddenBase(this.#images.get(op.reference));
      },
      hash: ({ sources }, sourceId) =>
        tracked(
          withSource(sourceId, (fd) => this.#engine.workers.run(hashSourcesJob, { sources }, { fds: [fd], signal })),
        ),
      execute: (vertex, [root = "", sourceId = ""]) => {
        const { op } = vertex;
        const body = op.kind === "exec" ? { ...bodyOf(op), HostConfig: networked(hostConfig, op.network) } : NOTHING;
        const work = async (container: Container) => {
          if (op.kind === "exec") return await this.#run(container, op.args, (text) => onOutput(vertex, text), signal);
          await withContainerRoot(this.#engine, container, async (fd) => {
            const { workers } = this.#engine;
            if (op.kind === "mkdir")
              return await workers.run(makeDirectoryInJob, { path: op.path }, { fds: [fd], signal });
            if (op.kind !== "copy") throw new LighterError("internal", `no step: ${op.kind}`);
            const argument = { ...op, owner: this.#ownerOf(op.owner, root) };
            return await withSource(sourceId, (from) =>
              workers.run(copySourcesJob, argument, { fds: [fd, from], signal }),
            );
          });
        };
        return tracked(
          this.#withContainer(root, body, async (container) => {
            await work(container);
            signal.throwIfAborted();
            return await this.#keep(container, root);
          }),
        );
      },
    };
  }

  /** Finds the ids of an owner. As with Docker's classic builder a user alone stands for the group of that name, too. */
  #ownerOf(owner: string | undefined, root: string): { uid: number; gid: number } {
    if (owner === undefined) return { uid: 0, gid: 0 };
    const { lowerDirs } = this.#images.layersOf(root);
    const read = (path: string) => readFileInLayers(lowerDirs, path, PASSWD_MAX_BYTES)?.toString("utf8") ?? "";
    const { uid, gid } = resolveUser(
      read("/etc/passwd"),
      read("/etc/group"),
      owner.includes(":") ? owner : `${owner}:${owner}`,
    );
    return { uid, gid };
  }

  #withRoot<T>(id: string, use: (fd: number) => Promise<T>): Promise<T> {
    return this.#withContainer(id, NOTHING, (container) => withContainerRoot(this.#engine, container, use));
  }

  /** Runs `use` with a container for the build. If this daemon is killed meanwhile, the next one finds its name and removes it. */
  async #withContainer<T>(imageId: string, body: object, use: (container: Container) => Promise<T>): Promise<T> {
    const name = `build-${randomId().slice(0, 24)}`;
    this.#cache.noteContainer(name);
    try {
      const { id } = await this.#engine.create({ ...body, Image: imageId }, name);
      const container = this.#engine.find(id);
      try {
        return await use(container);
      } finally {
        await this.#engine.remove(container, { force: true, volumes: true });
      }
    } finally {
      this.#cache.forgetContainer(name);
    }
  }

  async #run(
    container: Container,
    args: readonly string[],
    onOutput: (text: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const plan = { stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false };
    const pending = await attach(container, container.id, plan, () => {});
    const onAbort = () => void killForGood(this.#engine, container).catch(() => {}); // its removal kills it, too
    onOutput(` ---> Running in ${shortId(container.id)}\n`);
    const exited = container.wait("next-exit");
    await this.#engine.start(container);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    try {
      const attached = await pending.connection;
      if (attached !== undefined) for await (const text of textsOf(attached.socket)) onOutput(text);
      const exitCode = await exited;
      signal.throwIfAborted();
      if (exitCode !== 0) throw new StepFailed(exitCode, args.join(" "));
      onOutput(` ---> Removed intermediate container ${shortId(container.id)}\n`);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Keeps what the container has changed as layers over those it was made from. */
  async #keep(container: Container, root: string): Promise<string> {
    return await makeImage(this.#images, {
      ...this.#hidden(root === "" ? undefined : this.#images.get(root)),
      layer: (make) =>
        withChanges(this.#engine, this.#images, container, async (changes) => changes && (await make(changes))),
    });
  }
}

const DOCKERFILE_MAX_BYTES = 1024 * 1024;
const CONTEXT_ID = "context";
/** The body of a container in which nothing runs. */
const NOTHING = { Cmd: ["/"], WorkingDir: "/", HostConfig: { NetworkMode: "none", LogConfig: { Type: "none" } } };

function bodyOf({ args, env, cwd, user }: Extract<Vertex["op"], { kind: "exec" }>) {
  return { Cmd: args, Entrypoint: [], Env: env, WorkingDir: cwd, User: user };
}

function networked(hostConfig: DockerHostConfig, network: "default" | "host" | "none"): DockerHostConfig {
  const NetworkMode = network === "default" ? (hostConfig.NetworkMode ?? "default") : network;
  return { ...hostConfig, NetworkMode, LogConfig: { Type: "none" } };
}

async function solved(stage: PlannedStage, solve: ReturnType<Solver["begin"]>): Promise<string> {
  return stage.vertex === undefined ? "" : (await solve(stage.vertex)).id;
}

/** The output of steps. Several stages write at once: a step's output waits until its turn. */
class StepOutput {
  readonly #say: (text: string) => void;
  readonly #waiting = new Map<Vertex, string[]>();
  readonly #shown = new Set<Vertex>();

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  add(vertex: Vertex, text: string): void {
    if (this.#shown.has(vertex)) {
      this.#say(text);
      return;
    }
    const waiting = this.#waiting.get(vertex) ?? [];
    waiting.push(text);
    this.#waiting.set(vertex, waiting);
  }

  show(vertex: Vertex): void {
    this.#shown.add(vertex);
    for (const text of this.#waiting.get(vertex) ?? []) this.#say(text);
    this.#waiting.delete(vertex);
  }
}

/** What is in the frames of a multiplexed stream, both of its streams. */
async function* textsOf(socket: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const frames = new FrameReader();
  for await (const chunk of socket) {
    const text = decoder.decode(frames.push(chunk), { stream: true });
    if (text !== "") yield text;
  }
}
