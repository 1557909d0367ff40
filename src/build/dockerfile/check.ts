/**
 * Build checks: what is allowed in a Dockerfile and better not done.
 * Source: moby/buildkit dockerfile2llb/validations.go and convert.go (what is looked at, and in which order).
 */
import { posix } from "node:path";
import { DEFAULT_PATH } from "../../base/default-path.ts";
import { LighterError } from "../../base/errors.ts";
import { DOCKERFILE_MAX_CHARS } from "../../base/limits.ts";
import type { IgnoreRules } from "../../spec/docker-ignore.ts";
import { parseReference } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform, parsePlatform } from "../../spec/platform.ts";
import { CheckReport } from "./check-report.ts";
import { DockerfileError, located } from "./error.ts";
import { expandInstruction } from "./expand.ts";
import { parse } from "./parse.ts";
import { type BuildInputs, declareArgs, globalVariables } from "./scope.ts";
import { suggest } from "./suggest.ts";
import type { Add, Copy, Dockerfile, From, Instruction, SourceRange, Stage, Warning } from "./types.ts";
import { type AskedFor, expandWord } from "./words.ts";

export interface BaseImage {
  env: readonly string[];
  hasShell: boolean;
  platform: Platform;
}

export interface CheckInputs extends BuildInputs {
  ignore?: IgnoreRules;
  /** Undefined: the image is not known here, and nor are its variables. */
  baseOf: (image: string) => BaseImage | undefined;
}

export interface CheckResult {
  /** By their lines. */
  warnings: Warning[];
  error?: { message: string; ranges: readonly SourceRange[] };
}

/** Checks a Dockerfile. One that is malformed has an error, and the warnings up to it. */
export function checkDockerfile(text: string, inputs: CheckInputs): CheckResult {
  let report: CheckReport | undefined;
  try {
    if (text.length > DOCKERFILE_MAX_CHARS)
      throw new DockerfileError(`a Dockerfile of more than ${DOCKERFILE_MAX_CHARS} characters is not checked`, []);
    const dockerfile = parse(text);
    report = new CheckReport(dockerfile.check);
    new Checker(dockerfile, inputs, report).run();
    report.failIfAsked();
    return { warnings: report.sorted() };
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    const ranges = error instanceof DockerfileError ? error.ranges : [];
    return { warnings: report?.sorted() ?? [], error: { message: error.message, ranges } };
  }
}

/** What is known at a point of a stage. A stage that begins with another goes on with a copy of that one's. */
interface State {
  variables: Map<string, string>;
  /** False: the base image may set more of them. */
  isComplete: boolean;
  declared: Set<string>;
  hasShell: boolean;
  hasWorkdir: boolean;
}

const RESERVED_STAGES: ReadonlySet<string> = new Set(["context", "scratch"]);
/** Arguments for attestations, which are no variables. */
const NO_VARIABLES: ReadonlySet<string> = new Set(["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"]);
const SECRET = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;
const ONCE: ReadonlySet<string> = new Set(["cmd", "entrypoint", "healthcheck"]);

class Checker {
  readonly #states = new Map<string, State>();
  readonly #dockerfile: Dockerfile;
  readonly #inputs: CheckInputs;
  readonly #report: CheckReport;
  #globals: Map<string, string> = new Map();

  constructor(dockerfile: Dockerfile, inputs: CheckInputs, report: CheckReport) {
    this.#dockerfile = dockerfile;
    this.#inputs = inputs;
    this.#report = report;
  }

  run(): void {
    const { stages, emptyContinuations, globalArgs } = this.#dockerfile;
    for (const range of emptyContinuations) this.#report.add("NoEmptyContinuation", range);
    for (const arg of globalArgs) this.#checkWritten(arg);
    for (const { from, instructions } of stages) for (const each of [from, ...instructions]) this.#checkWritten(each);
    this.#checkStageNames();
    this.#checkCasing();
    this.#checkDefaults();
    this.#globals = globalVariables(this.#dockerfile, this.#inputs);
    const bases = stages.map(({ from }) => this.#checkFrom(from));
    for (const stage of stages) this.#checkStage(stage, bases[stage.index]!);
  }

  /** What shows in the instruction alone. */
  #checkWritten(instruction: Instruction): void {
    const { range, keyword, comments } = instruction;
    if (instruction.kind === "maintainer") this.#report.add("MaintainerDeprecated", range);
    if (instruction.kind === "arg")
      this.#checkDescription(
        "ARG",
        instruction.args.map(({ name }) => name),
        comments,
        range,
      );
    if (instruction.kind !== "from") return;
    const { name, nameWritten, asWritten } = instruction;
    if (name === undefined || asWritten === undefined) return;
    if (nameWritten !== name) this.#report.add("StageNameCasing", range, nameWritten!);
    const isLower = keyword === keyword.toLowerCase();
    if (isLower ? asWritten !== "as" : keyword === keyword.toUpperCase() && asWritten !== "AS")
      this.#report.add("FromAsCasing", range, keyword, asWritten);
    this.#checkDescription("FROM", [name], comments, range);
  }

  #checkDescription(instruction: string, names: string[], comments: readonly string[], range: SourceRange): void {
    const described = comments.at(-1)?.split(" ")[0];
    if (described === undefined || names.includes(described)) return;
    const example = names.length > 1 ? "<arg_key>" : names[0]!;
    this.#report.add("InvalidDefinitionDescription", range, instruction, example);
  }

  #checkStageNames(): void {
    const names = new Set<string>();
    for (const { from } of this.#dockerfile.stages) {
      if (from.name === undefined) continue;
      if (RESERVED_STAGES.has(from.name)) this.#report.add("ReservedStageName", from.range, from.name);
      if (names.has(from.name)) this.#report.add("DuplicateStageName", from.range, from.name);
      names.add(from.name);
    }
  }

  #checkCasing(): void {
    const all = this.#dockerfile.stages.flatMap(({ from, instructions }) => [from, ...instructions]);
    const isLower = (text: string) => text === text.toLowerCase();
    const isUpper = (text: string) => text === text.toUpperCase();
    const lower = all.filter(({ keyword }) => isLower(keyword)).length;
    const upper = all.filter(({ keyword }) => isUpper(keyword)).length;
    const [isRight, casing] = lower > upper ? ([isLower, "lowercase"] as const) : ([isUpper, "uppercase"] as const);
    for (const { keyword, range } of all)
      if (!isRight(keyword)) this.#report.add("ConsistentInstructionCasing", range, keyword, casing);
  }

  /** Base images have to be named also if the build gives no arguments. */
  #checkDefaults(): void {
    const { stages, escape: escapeChar } = this.#dockerfile;
    try {
      const globals = globalVariables(this.#dockerfile, { ...this.#inputs, buildArgs: new Map() });
      for (const { from } of stages) {
        const image = expandWord(from.image, globals, { escape: escapeChar });
        if (!isReference(image)) this.#report.add("InvalidDefaultArgInFrom", from.range, from.image);
      }
    } catch (error) {
      if (!(error instanceof LighterError)) throw error; // it is told where the given arguments meet it, too
    }
  }

  /** The image of a FROM, and its platform if it names one. */
  #checkFrom(from: From): { image: string; platform?: Platform } {
    const { range, platform } = from;
    const image = this.#expandGlobal(from.image, range).text;
    if (image === "") throw new DockerfileError(`base name (${from.image}) should not be blank`, [range]);
    if (platform === undefined) return { image };
    const { text, asked } = this.#expandGlobal(platform, range);
    const isTarget = asked.missing.size === 0 && asked.found.size === 1 && asked.found.has("TARGETPLATFORM");
    if (isTarget && text === this.#globals.get("TARGETPLATFORM"))
      this.#report.add("RedundantTargetPlatform", range, platform);
    if (text === "") throw new DockerfileError(`empty platform value from expression ${platform}`, [range]);
    const parsed = located(range, () => parsePlatform(text));
    const isConstant = asked.found.size === 0 && asked.missing.size === 0;
    const name = from.name ?? "";
    if (isConstant && !name.includes(parsed.os) && !name.includes(parsed.architecture))
      this.#report.add("FromPlatformFlagConstDisallowed", range, text);
    return { image, platform: parsed };
  }

  #expandGlobal(word: string, range: SourceRange): { text: string; asked: AskedFor } {
    const asked: AskedFor = { found: new Set(), missing: new Set() };
    const text = located(range, () => expandWord(word, this.#globals, { escape: this.#dockerfile.escape, asked }));
    if (asked.missing.size === 0 || this.#report.isFull) return { text, asked };
    const declared = this.#dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name));
    const names = new Set([...this.#globals.keys(), ...declared]);
    for (const name of asked.missing)
      if (!names.has(name)) this.#report.add("UndefinedArgInFrom", range, name, suggest(name, names) ?? "");
    return { text, asked };
  }

  #checkStage({ from, instructions }: Stage, base: { image: string; platform?: Platform }): void {
    const state = this.#begin(from, base);
    const last = new Map<string, SourceRange>();
    for (const instruction of instructions) {
      if (ONCE.has(instruction.kind)) {
        const before = last.get(instruction.kind);
        if (before !== undefined) this.#report.add("MultipleInstructionsDisallowed", before, instruction.keyword);
        last.set(instruction.kind, instruction.range);
      }
      located(instruction.range, () => this.#checkInstruction(instruction, state));
    }
    if (from.name !== undefined) this.#states.set(from.name, state);
  }

  #begin(from: From, { image, platform }: { image: string; platform?: Platform }): State {
    const parent = this.#states.get(image);
    if (parent !== undefined)
      return { ...parent, variables: new Map(parent.variables), declared: new Set(parent.declared) };
    const base = image === "scratch" ? undefined : this.#inputs.baseOf(image);
    const variables = new Map([["PATH", DEFAULT_PATH]]);
    for (const variable of base?.env ?? []) {
      const at = variable.indexOf("=");
      if (at > 0) variables.set(variable.slice(0, at), variable.slice(at + 1));
    }
    const expected = platform ?? this.#inputs.targetPlatform;
    if (base && (base.platform.os !== expected.os || base.platform.architecture !== expected.architecture))
      this.#report.add(
        "InvalidBaseImagePlatform",
        from.range,
        image,
        formatPlatform(expected),
        formatPlatform(base.platform),
      );
    const isComplete = image === "scratch" || base !== undefined;
    return { variables, isComplete, declared: new Set(), hasShell: base?.hasShell ?? false, hasWorkdir: false };
  }

  #checkInstruction(written: Instruction, state: State): void {
    const { range, keyword } = written;
    const { variables } = state;
    const asked: AskedFor = { found: new Set(), missing: new Set() };
    const options = { escape: this.#dockerfile.escape, asked };
    const instruction = expandInstruction(written, { variables, ...options });
    if (instruction.kind === "arg") declareArgs(instruction, variables, this.#globals, this.#inputs.buildArgs, options);
    this.#checkAsked(asked, range, state);
    switch (instruction.kind) {
      case "arg":
        for (const { name } of instruction.args) {
          this.#checkSecret("ARG", name, range);
          state.declared.add(name);
        }
        return;
      case "env":
      case "label":
        for (const { name, value, isLegacy } of instruction.pairs) {
          if (isLegacy) this.#report.add("LegacyKeyValueFormat", range, keyword);
          if (instruction.kind === "label") continue;
          this.#checkSecret("ENV", name, range);
          variables.set(name, value);
        }
        return;
      case "cmd":
      case "entrypoint":
        if (instruction.command.form === "shell" && !state.hasShell)
          this.#report.add("JSONArgsRecommended", range, keyword);
        return;
      case "shell":
        state.hasShell = true;
        return;
      case "workdir":
        if (!state.hasWorkdir && !instruction.path.startsWith("/"))
          this.#report.add("WorkdirRelativePath", range, instruction.path);
        state.hasWorkdir = true;
        return;
      case "expose":
        for (const port of instruction.ports) this.#checkPort(port, range);
        return;
      case "add":
      case "copy":
        this.#checkSources(instruction);
    }
  }

  #checkAsked({ missing }: AskedFor, range: SourceRange, { variables, declared, isComplete }: State): void {
    if (!isComplete || this.#report.isFull) return;
    for (const name of missing)
      if (!declared.has(name) && !NO_VARIABLES.has(name))
        this.#report.add("UndefinedVar", range, name, suggest(name, variables.keys()) ?? "");
  }

  #checkSecret(instruction: string, name: string, range: SourceRange): void {
    if (SECRET.test(name) && !NO_SECRET.test(name)) this.#report.add("SecretsUsedInArgOrEnv", range, instruction, name);
  }

  #checkPort(port: string, range: SourceRange): void {
    const [, protocol = ""] = /\/(.*)$/.exec(port) ?? [];
    if (protocol !== protocol.toLowerCase()) this.#report.add("ExposeProtoCasing", range, port);
    if (port.includes(":")) this.#report.add("ExposeInvalidFormat", range, port);
  }

  /** With exceptions in `.dockerignore`, a directory that is left out may still hold files that are not. */
  #checkSources(instruction: Add | Copy): void {
    const { ignore } = this.#inputs;
    if (ignore === undefined || ignore.hasExceptions) return;
    if (instruction.kind === "copy" && instruction.from !== undefined) return;
    for (const source of instruction.sources) {
      if (instruction.kind === "add" && /^(https?:\/\/|git@|git:\/\/|ssh:\/\/)/.test(source)) continue;
      const path = posix.normalize(source).replace(/(.)\/$/, "$1");
      const command = instruction.kind === "add" ? "Add" : "Copy";
      if (ignore.excludes(path)) this.#report.add("CopyIgnoredFile", instruction.range, command, path);
    }
  }
}

function isReference(image: string): boolean {
  try {
    parseReference(image);
    return true;
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    return false;
  }
}
