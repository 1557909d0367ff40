/** Dockerfiles: their syntax, and what instructions do to a config. */
export { changeConfig } from "./change-config.ts";
export { type BaseImage, type CheckResult, checkDockerfile } from "./dockerfile/check.ts";
export { DockerfileError } from "./dockerfile/error.ts";
export { expandInstruction } from "./dockerfile/expand.ts";
export { type ForeignFrontEnd, foreignFrontEnd, isBuiltIn } from "./dockerfile/front-end.ts";
export { outlineDockerfile } from "./dockerfile/outline.ts";
export { parse } from "./dockerfile/parse.ts";
export { describeCheck, describeOutline, describeTargets } from "./dockerfile/report-json.ts";
export { formatCheck, formatExcerpt, formatOutline, formatTargets } from "./dockerfile/report-text.ts";
export type { BuildInputs } from "./dockerfile/scope.ts";
export type {
  Add,
  Arg,
  CommandLine,
  Copy,
  Dockerfile,
  From,
  Healthcheck,
  Heredoc,
  Instruction,
  InstructionKind,
  Mount,
  MountType,
  Pair,
  Run,
  SourceRange,
  Stage,
  Warning,
} from "./dockerfile/types.ts";
export type { ChangeAction, ChangeOp } from "./graph/change-op.ts";
export { contextNeedOf } from "./graph/context-paths.ts";
export {
  type CacheMount,
  type ExecMount,
  type ExecOp,
  type RunSettings,
  resultsOf,
  type SecretMount,
} from "./graph/exec-op.ts";
export {
  type CopyAction,
  type CopyOp,
  digestOfVertex,
  isScratch,
  isSource,
  type LayoutSource,
  type LocalSource,
  type Op,
  SCRATCH,
  type SourceOp,
  type Vertex,
  verticesOf,
} from "./graph/llb.ts";
export type { InputContext } from "./graph/named-context.ts";
export { type BuildPlan, type PlannedStage, type PlanOptions, planBuild } from "./graph/plan.ts";
export type { Entitlement } from "./graph/plan-run.ts";
export { GIT_SECRETS, type GitSource, type HttpSource, parseGitSource } from "./graph/remote-source.ts";
export { canonicalName, nameOf, stepNames } from "./graph/step-names.ts";
export { decodeGraph } from "./llb/decode.ts";
export { type CommandParts, decodeCommand } from "./llb/decode-exec.ts";
export { decodeSource } from "./llb/decode-source.ts";
export { encodeGraph } from "./llb/encode.ts";
export type { StepListener } from "./solver/shared-step.ts";
export { type Solve, Solver, type SolveWatcher, type StepCache, type Workshop } from "./solver/solver.ts";
