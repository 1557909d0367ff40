/** What a target of a Dockerfile may be given: arguments, secrets, agents. Source: moby/buildkit dockerfile2llb/outline.go. */
import { located } from "./error.ts";
import { expandInstruction } from "./expand.ts";
import { type BuildInputs, declareArgs, globalVariables } from "./scope.ts";
import { stagesUpTo } from "./stages.ts";
import type { Arg, Dockerfile, Instruction, Mount, SourceRange, Stage } from "./types.ts";
import { type AskedFor, expandWord } from "./words.ts";

interface Named {
  name: string;
  range: SourceRange;
}

export interface Outline {
  /** The target's name, "" if it has none, and what its comment says. */
  name: string;
  description: string;
  args: (Named & { value: string; description: string })[];
  secrets: (Named & { required: boolean })[];
  ssh: (Named & { required: boolean })[];
}

/** Outlines the stage `targetStage` and the stages that it needs. @throws LighterError "invalid" */
export function outlineDockerfile(dockerfile: Dockerfile, inputs: BuildInputs): Outline {
  const stages = stagesUpTo(dockerfile.stages, inputs.targetStage);
  const target = stages.at(-1)!;
  const outliner = new Outliner(dockerfile, inputs);
  for (const stage of stages) outliner.add(stage);
  const found = outliner.foundIn(target);
  const { name = "", description } = target.from;
  return {
    ...{ name, description },
    args: unique(found.flatMap(({ args }) => args)),
    secrets: unique(found.flatMap(({ secrets }) => secrets)),
    ssh: unique(found.flatMap(({ ssh }) => ssh)),
  };
}

/** Each name once, where it is written first. */
function unique<T extends Named>(list: T[]): T[] {
  const sorted = list.toSorted((one, other) => one.range.start - other.range.start);
  return [...new Map(sorted.toReversed().map((each) => [each.name, each])).values()].reverse();
}

/** What one stage may be given. */
type StageOutline = Pick<Outline, "args" | "secrets" | "ssh">;

class Outliner {
  readonly #dockerfile: Dockerfile;
  readonly #inputs: BuildInputs;
  readonly #globals: ReadonlyMap<string, string>;
  readonly #outlines = new Map<Stage, StageOutline>();
  readonly #needs = new Map<Stage, Stage[]>();
  readonly #variables = new Map<Stage, Map<string, string>>();

  constructor(dockerfile: Dockerfile, inputs: BuildInputs) {
    this.#dockerfile = dockerfile;
    this.#inputs = inputs;
    this.#globals = globalVariables(dockerfile, inputs);
  }

  /** The outlines of the stage and of all that it needs. */
  foundIn(stage: Stage): StageOutline[] {
    const reached = new Set([stage]);
    for (const each of reached) for (const needed of this.#needs.get(each) ?? []) reached.add(needed);
    return [...reached].map((each) => this.#outlines.get(each)!);
  }

  add(stage: Stage): void {
    const { from, instructions } = stage;
    const outline: StageOutline = { args: [], secrets: [], ssh: [] };
    const asked: AskedFor = { found: new Set(), missing: new Set() };
    const options = { escape: this.#dockerfile.escape, asked };
    const word = (text: string) => located(from.range, () => expandWord(text, this.#globals, options));
    const base = this.#find(word(from.image), stage);
    if (from.platform !== undefined) word(from.platform);
    const variables = new Map(base && this.#variables.get(base));
    this.#outlines.set(stage, outline);
    this.#variables.set(stage, variables);
    this.#needs.set(stage, base === undefined ? [] : [base]);
    // What FROM asks for are arguments of the whole file.
    for (const arg of this.#dockerfile.globalArgs) this.#addArgs(outline, arg, this.#globals, asked.found);
    for (const each of instructions) located(each.range, () => this.#instruction(stage, each, options));
  }

  #instruction(stage: Stage, written: Instruction, options: { escape: Dockerfile["escape"]; asked: AskedFor }): void {
    const outline = this.#outlines.get(stage)!;
    const variables = this.#variables.get(stage)!;
    if (written.kind === "arg") {
      declareArgs(written, variables, this.#globals, this.#inputs.buildArgs, options);
      this.#addArgs(outline, written, variables, this.#namesAfter(stage, written));
      return;
    }
    const instruction = expandInstruction(written, { variables, ...options });
    if (instruction.kind === "env") for (const { name, value } of instruction.pairs) variables.set(name, value);
    if (instruction.kind === "copy") this.#need(stage, instruction.from);
    if (instruction.kind !== "run") return;
    for (const mount of instruction.mounts) {
      this.#need(stage, mount.from);
      addMount(outline, mount, instruction.range);
    }
  }

  /** The words in the instructions after one: names among them are used. */
  #namesAfter({ instructions }: Stage, arg: Arg): ReadonlySet<string> {
    const texts = instructions.filter(({ range }) => range.start > arg.range.start).map(({ original }) => original);
    return new Set(texts.join("\n").match(/\w+/g));
  }

  #addArgs(
    outline: StageOutline,
    { args, range }: Arg,
    values: ReadonlyMap<string, string>,
    used: ReadonlySet<string>,
  ): void {
    const globals = this.#dockerfile.globalArgs.flatMap((each) => each.args);
    for (const { name, description: own } of args) {
      const description = own || (globals.find((each) => each.name === name)?.description ?? "");
      if (used.has(name)) outline.args.push({ name, value: values.get(name) ?? "", description, range });
    }
  }

  #need(stage: Stage, name: string | undefined): void {
    const needed = name === undefined ? undefined : this.#find(name, stage);
    if (needed !== undefined) this.#needs.get(stage)?.push(needed);
  }

  #find(name: string, { index }: Stage): Stage | undefined {
    const before = this.#dockerfile.stages.slice(0, index);
    return before.findLast(({ from }) => from.name === name.toLowerCase()) ?? before[/^\d+$/.test(name) ? +name : -1];
  }
}

function addMount(outline: StageOutline, { type, id, required }: Mount, range: SourceRange): void {
  if (type === "secret" && id !== undefined) outline.secrets.push({ name: id, required, range });
  if (type === "ssh") outline.ssh.push({ name: id ?? "default", required, range });
}
