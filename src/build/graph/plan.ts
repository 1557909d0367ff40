/**
 * From a Dockerfile to a graph: stages of steps, each with the config that it leaves and, where it changes files, its vertex.
 * What only BuildKit's front end understands is refused by name. Texts are those of Docker's classic builder.
 */
import { DEFAULT_PATH } from "../../base/default-path.ts";
import { LighterError } from "../../base/errors.ts";
import type { DockerContainerConfig } from "../../spec/docker-api.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform, parsePlatform } from "../../spec/platform.ts";
import { changedBy } from "../change-config.ts";
import { located } from "../dockerfile/error.ts";
import { expandInstruction } from "../dockerfile/expand.ts";
import { parse } from "../dockerfile/parse.ts";
import { globalVariables } from "../dockerfile/scope.ts";
import { stagesUpTo } from "../dockerfile/stages.ts";
import type { Add, Arg, Copy, Dockerfile, From, Instruction, Run, SourceRange, Stage } from "../dockerfile/types.ts";
import { expandWord } from "../dockerfile/words.ts";
import { pairsOf } from "./environment.ts";
import type { Network, RunSettings } from "./exec-op.ts";
import { noted, textOf } from "./history-text.ts";
import { type LayoutSource, plainCopy, SCRATCH, type Vertex } from "./llb.ts";
import { findNamedContext, type InputContext, type NamedContext, type NamedContexts } from "./named-context.ts";
import { planCopy } from "./plan-copy.ts";
import { type Entitlement, isProxyArg, planRun } from "./plan-run.ts";
import { invalid } from "./refuse.ts";

interface PlannedStep {
  /** What it says, as written: "RUN true". */
  text: string;
  /** For the image's history. */
  createdBy: string;
  /** After the step. */
  config: DockerContainerConfig;
  /** Undefined: no file is changed. */
  vertex?: Vertex;
}

export interface PlannedStage {
  /** The base image's name, whose history the stage continues; undefined: the base is another stage, or nothing. */
  baseReference: string | undefined;
  baseStage: PlannedStage | undefined;
  /** The result of another build that is the base. */
  baseInput: InputContext | undefined;
  /** The root file system that it begins with; undefined if that is another stage's, or empty. */
  baseVertex: Vertex | undefined;
  /** Its first instruction, as written. */
  from: string;
  /** How many of its first steps are ONBUILD's of what it begins with. */
  triggerCount: number;
  /** Who MAINTAINER says it is. */
  author: string | undefined;
  steps: PlannedStep[];
  config: DockerContainerConfig;
  /** Its root file system; undefined: an empty one. */
  vertex: Vertex | undefined;
  name: string | undefined;
  /** What progress calls it: its name or "stage-N"; "" for a Dockerfile's only stage if that has no name. */
  label: string;
  /** What it is for, if progress says so: "linux/arm64"; else "". */
  shownPlatform: string;
}

export interface PlanOptions {
  buildArgs: ReadonlyMap<string, string>;
  /** Arguments that were given without a value. */
  unsetArgs?: readonly string[];
  labels: Readonly<Record<string, string>>;
  target: string;
  /** Where commands run that do not say. */
  network: Network;
  settings: RunSettings;
  /** What the Dockerfile may ask for beyond what a container may do. */
  entitlements: ReadonlySet<Entitlement>;
  /** Contexts by name, which go before stages and images that are called so. */
  contexts?: NamedContexts | undefined;
  /** The results of other builds that contexts name, by their keys. */
  contextInputs?: ReadonlyMap<string, InputContext> | undefined;
  /** The platform that builds. */
  platform: Platform;
  /** The platform that is built for, if it is asked for: bases are for that one unless FROM says otherwise. */
  targetPlatform?: Platform | undefined;
  /** Whether it is as of Docker's classic builder, whose stages have not the arguments of the one that they begin with. */
  isClassic?: boolean;
  /** Whether progress says what a stage is for: the build is for several platforms. */
  showsPlatform?: boolean;
  /** Finds what a client's layout has, for a platform if one is wanted. Undefined: there are no such clients. */
  resolveLayout?: (source: LayoutSource, platform: Platform | undefined) => Promise<InputContext>;
  /** Finds an image, for a platform if one is wanted. It is there when this resolves. */
  resolveImage: (reference: string, platform: Platform | undefined) => Promise<ResolvedImage>;
}

interface ResolvedImage {
  config: DockerContainerConfig;
  /** What names the image from now on. */
  reference: string;
}

export interface BuildPlan {
  /** The arguments before the first stage, as written. */
  globalArgs: string[];
  /** The stages that the target is made of, in the order in which they are written; the target is the last. */
  stages: PlannedStage[];
  /** The arguments that were given and that no instruction up to the target declares, sorted. */
  unusedArgs: string[];
}

export async function planBuild(text: string, options: PlanOptions): Promise<BuildPlan> {
  const dockerfile = parse(text);
  const planner = new Planner(dockerfile, options);
  for (const stage of stagesUpTo(dockerfile.stages, options.target)) await planner.addStage(stage);
  const globalArgs = dockerfile.globalArgs.map(({ original }) => original);
  return { globalArgs, stages: planner.finish(), unusedArgs: planner.unusedArgs() };
}

class Planner {
  readonly #escape: Dockerfile["escape"];
  readonly #options: PlanOptions;
  readonly #stages: PlannedStage[] = [];
  readonly #globalArgs: ReadonlyMap<string, string>;
  /** The arguments of the stage, with their values. */
  #args = new Map<string, string>();
  readonly #argsOf = new Map<PlannedStage, ReadonlyMap<string, string>>();
  /** The names of all arguments so far. */
  readonly #declaredArgs: Set<string>;
  #cmdSet = false;
  readonly #copiedFrom = new Map<PlannedStage, PlannedStage[]>();
  readonly #hasOneStage: boolean;
  /** Where the instruction that is being added is written; for one that an image brings, its FROM. */
  #range: SourceRange | undefined;

  constructor(dockerfile: Dockerfile, options: PlanOptions) {
    this.#escape = dockerfile.escape;
    this.#options = options;
    this.#hasOneStage = dockerfile.stages.length === 1;
    this.#declaredArgs = new Set(dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)));
    const { buildArgs, platform, targetPlatform = platform, target } = options;
    const inputs = { buildArgs, buildPlatform: platform, targetPlatform, targetStage: target };
    this.#globalArgs = globalVariables(dockerfile, inputs);
  }

  unusedArgs(): string[] {
    const { buildArgs, unsetArgs = [] } = this.#options;
    const names = [...buildArgs.keys(), ...unsetArgs];
    return names.filter((name) => !this.#declaredArgs.has(name) && !isProxyArg(name)).sort();
  }

  finish(): PlannedStage[] {
    const last = this.#stages.at(-1)!;
    const labels = Object.entries(this.#options.labels);
    if (labels.length > 0) {
      const text = `LABEL ${labels.map(([name, value]) => `${name}=${value}`).join(" ")}`;
      this.#note(text, text, { ...last.config, Labels: { ...last.config.Labels, ...this.#options.labels } });
    }
    const needed = new Set<PlannedStage>();
    this.#markNeeded(last, needed);
    return this.#stages.filter((stage) => needed.has(stage));
  }

  /** With all that it is made of and copies from. */
  #markNeeded(stage: PlannedStage, needed: Set<PlannedStage>): void {
    if (needed.has(stage)) return;
    needed.add(stage);
    if (stage.baseStage !== undefined) this.#markNeeded(stage.baseStage, needed);
    for (const other of this.#copiedFrom.get(stage) ?? []) this.#markNeeded(other, needed);
  }

  async addStage({ from, index, instructions }: Stage): Promise<void> {
    const image = expandWord(from.image, this.#globalArgs, { escape: this.#escape });
    if (image === "") throw invalid(`base name (${from.image}) should not be blank`);
    const platform = this.#platformOf(from);
    const named = findNamedContext(this.#options, image);
    const baseStage = named === undefined ? this.#find(image) : undefined;
    const source = named !== undefined && "source" in named ? named.source : undefined;
    const input = named === undefined ? undefined : await this.#inputOf(named, platform);
    const isImage = [source, input, baseStage].every((each) => each === undefined) && image !== "scratch";
    const reference = named !== undefined && "image" in named ? named.image : image;
    const resolved = isImage ? await this.#options.resolveImage(reference, platform) : undefined;
    const config = baseStage?.config ?? resolved?.config ?? input?.image?.config ?? { Env: [`PATH=${DEFAULT_PATH}`] };
    const op = { kind: "image", reference: resolved?.reference ?? image } as const;
    const vertex: Vertex = { op, inputs: [], name: `FROM ${reference}`, range: from.range };
    const all = plainCopy("COPY", "/");
    const copied = source && { op: all, inputs: [SCRATCH, source], name: `FROM ${image}`, range: from.range };
    const begin = isImage ? vertex : (copied ?? input?.vertex);
    const inherited = this.#options.isClassic !== true && baseStage !== undefined;
    this.#args = new Map(inherited ? this.#argsOf.get(baseStage) : []);
    this.#cmdSet = false;
    this.#stages.push({
      baseReference: resolved?.reference,
      baseStage,
      baseInput: input,
      baseVertex: begin,
      from: from.original,
      triggerCount: 0,
      steps: [],
      author: baseStage?.author,
      config: { ...config, OnBuild: null },
      vertex: begin ?? baseStage?.vertex,
      name: from.name,
      label: from.name ?? (this.#hasOneStage ? "" : `stage-${index}`),
      shownPlatform: baseStage?.shownPlatform ?? this.#shown(platform),
    });
    this.#argsOf.set(this.#stage, this.#args);
    this.#range = from.range;
    for (const each of triggersOf(config.OnBuild ?? [])) await this.#add(each);
    this.#stage.triggerCount = this.#stage.steps.length;
    for (const each of instructions) {
      this.#range = each.range;
      await this.#add(each);
    }
  }

  /** The result of another build, or the image of a layout, that a context is. */
  async #inputOf(named: NamedContext, platform = this.#options.targetPlatform): Promise<InputContext | undefined> {
    if ("input" in named) return named.input;
    return "layout" in named ? await this.#options.resolveLayout?.(named.layout, platform) : undefined;
  }

  #platformOf({ platform, range }: From): Platform | undefined {
    const written = platform === undefined ? "" : expandWord(platform, this.#globalArgs, { escape: this.#escape });
    if (written === "") return this.#options.targetPlatform;
    return located(range, () => parsePlatform(written));
  }

  #shown(platform = this.#options.platform): string {
    return this.#options.showsPlatform === true ? formatPlatform(platform) : "";
  }

  #find(name: string): PlannedStage | undefined {
    return this.#stages.findLast((stage) => stage.name === name.toLowerCase());
  }

  get #stage(): PlannedStage {
    return this.#stages.at(-1)!;
  }

  async #add(written: Instruction): Promise<void> {
    if (written.kind === "arg") {
      this.#arg(written, this.#args, new Map([...this.#args, ...pairsOf(this.#stage.config)]));
      const args = written.args.map(({ name, value }) => (value === undefined ? name : `${name}=${value}`));
      return this.#note(written.original, `ARG ${args.join(" ")}`, this.#stage.config);
    }
    // A variable of the image comes before an argument.
    const variables = new Map([...this.#args, ...pairsOf(this.#stage.config)]);
    const instruction = expandInstruction(written, { variables, escape: this.#escape });
    if (instruction.kind === "run") return await this.#run(instruction);
    if (instruction.kind === "copy" || instruction.kind === "add") return await this.#copy(instruction);
    if (instruction.kind === "from") throw invalid("FROM isn't allowed as an ONBUILD trigger");
    const { config } = this.#stage;
    const changed =
      instruction.kind === "shell"
        ? { ...config, Shell: instruction.words }
        : changedBy(config, instruction, this.#cmdSet);
    this.#cmdSet ||= instruction.kind === "cmd";
    if (instruction.kind === "maintainer") this.#stage.author = instruction.name;
    if (instruction.kind !== "workdir") return this.#note(written.original, textOf(instruction, changed), changed);
    const path = changed.WorkingDir ?? "/";
    const vertex = this.#vertex({ kind: "mkdir", path }, `WORKDIR ${path}`);
    this.#push({ text: written.original, createdBy: noted(changed, ` WORKDIR ${path}`), config: changed }, vertex);
  }

  #arg({ args }: Arg, into: Map<string, string>, known: ReadonlyMap<string, string>): void {
    for (const { name, value } of args) {
      this.#declaredArgs.add(name);
      const written =
        value === undefined ? this.#globalArgs.get(name) : expandWord(value, known, { escape: this.#escape });
      const given = this.#options.buildArgs.get(name) ?? written;
      if (given !== undefined) into.set(name, given);
    }
  }

  /** Adds a step that changes the config alone. */
  #note(text: string, historyText: string, config: DockerContainerConfig): void {
    this.#push({ text, createdBy: noted(config, `  ${historyText}`), config }, undefined);
  }

  #push(step: Omit<PlannedStep, "vertex">, vertex: Vertex | undefined): void {
    this.#stage.steps.push({ ...step, ...(vertex === undefined ? {} : { vertex }) });
    this.#stage.config = step.config;
    if (vertex !== undefined) this.#stage.vertex = vertex;
  }

  #vertex(op: Vertex["op"], name: string, ...more: Vertex[]): Vertex {
    const range = this.#range === undefined ? {} : { range: this.#range };
    return { op, inputs: [this.#stage.vertex ?? SCRATCH, ...more], name, ...range };
  }

  async #run(instruction: Run): Promise<void> {
    const { original } = instruction;
    const { config } = this.#stage;
    const { buildArgs, network, settings, entitlements } = this.#options;
    const { op, sources, createdBy } = await planRun(instruction, {
      ...{ config, stageArgs: this.#args, buildArgs, defaultNetwork: network, settings, entitlements },
      sourceOf: (from) => this.#sourceOf(from),
    });
    this.#push({ text: original, createdBy, config }, this.#vertex(op, original, ...sources));
  }

  async #copy(transfer: Copy | Add): Promise<void> {
    const { original } = transfer;
    const { config } = this.#stage;
    const source = await this.#sourceOf(transfer.kind === "copy" ? transfer.from : undefined);
    const { op, sources } = planCopy(transfer, { directory: config.WorkingDir || "/", source });
    const step = { text: original, createdBy: noted(config, ` ${original}`), config };
    this.#push(step, this.#vertex(op, original, ...sources));
  }

  async #sourceOf(from: string | undefined): Promise<Vertex> {
    if (from === undefined) return this.#options.contextInputs?.get(CONTEXT_INPUT)?.vertex ?? CONTEXT;
    const named = findNamedContext(this.#options, from);
    if (named !== undefined && "source" in named) return named.source;
    if (named !== undefined && "image" in named) return await this.#image(named.image);
    const input = named === undefined ? undefined : await this.#inputOf(named);
    if (input !== undefined) return input.vertex;
    const stage = (/^\d+$/.test(from) ? this.#stages[Number(from)] : undefined) ?? this.#find(from);
    if (stage === this.#stage) throw invalid(`invalid from flag value ${from}: refers to current build stage`);
    if (stage !== undefined) {
      this.#copiedFrom.set(this.#stage, [...(this.#copiedFrom.get(this.#stage) ?? []), stage]);
      return stage.vertex ?? SCRATCH;
    }
    try {
      return await this.#image(from);
    } catch (error) {
      if (!(error instanceof LighterError) || this.#options.isClassic !== true) throw error;
      throw new LighterError(error.code, `invalid from flag value ${from}: ${error.message}`);
    }
  }

  async #image(name: string): Promise<Vertex> {
    const { reference } = await this.#options.resolveImage(name, this.#options.targetPlatform);
    return { op: { kind: "image", reference }, inputs: [], name: `FROM ${name}` };
  }
}

function triggersOf(triggers: readonly string[]): Instruction[] {
  return triggers.flatMap((trigger) => parse(`FROM scratch\n${trigger}`).stages[0]!.instructions);
}

/** The input that is the context, if the client gives one. */
const CONTEXT_INPUT = "context";
const CONTEXT: Vertex = { op: { kind: "local", name: "context" }, inputs: [], name: "context" };
