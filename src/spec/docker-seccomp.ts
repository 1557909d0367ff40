/**
 * Seccomp profiles in Docker's format: the runtime-spec's section, with rules that depend on the container's capabilities,
 * the architecture and the kernel version.
 * Source: moby/profiles seccomp/seccomp.go and seccomp_linux.go (v0.2.3); docs.docker.com/engine/security/seccomp.
 */
import { LighterError } from "../base/errors.ts";
import { SECCOMP_MAX_NAMES, SECCOMP_MAX_RULES, SECCOMP_PROFILE_MAX_BYTES } from "../base/limits.ts";
import { parseExactJson } from "./json.ts";
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from "./oci-runtime.ts";

export interface DockerSeccompProfile {
  /** SCMP_ACT_… */
  defaultAction: string;
  defaultErrnoRet?: number;
  /** SCMP_ARCH_…; not together with `archMap`. */
  architectures?: string[];
  /** The entry of the machine's own architecture becomes `architectures`. */
  archMap?: DockerSeccompArch[];
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls: DockerSeccompRule[];
}

interface DockerSeccompArch {
  architecture: string;
  subArchitectures: string[];
}

/** A rule. The `name` of an old profile's rule is read as `names` of one. */
export interface DockerSeccompRule extends OciSeccompRule {
  comment?: string;
  /** The rule applies only if all of this holds. */
  includes?: DockerSeccompCondition;
  /** The rule does not apply if any of this holds. */
  excludes?: DockerSeccompCondition;
}

interface DockerSeccompCondition {
  /** Capabilities of the bounding set, as CAP_… */
  caps?: string[];
  /** Architectures in Go's spelling: "amd64", "arm64". */
  arches?: string[];
  /** The oldest kernel, "<kernel>.<major>", as "4.8". */
  minKernel?: string;
}

/** The container and machine a profile is for. */
export interface SeccompTarget {
  arch: "amd64" | "arm64";
  /** The bounding set's capabilities, as CAP_… */
  capabilities: readonly string[];
  /** The version as uname -r prints it; only the first two numbers count. */
  kernelVersion: string;
}

const NATIVE_SCMP_ARCH = { amd64: "SCMP_ARCH_X86_64", arm64: "SCMP_ARCH_AARCH64" } as const;

function invalid(path: string, what: string): LighterError {
  return new LighterError("invalid", `seccomp profile: ${path} ${what}`);
}

/** The first two numbers of "6.18.44-fc" as one that can be compared. */
function kernelNumber(version: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})/.exec(version);
  return match ? Number(match[1]) * 1000 + Number(match[2]) : undefined;
}

/** Whether a condition holds. "all": every given part must hold. "any": one part is enough. */
function holds(condition: DockerSeccompCondition, mode: "all" | "any", target: SeccompTarget, path: string): boolean {
  const parts: boolean[] = [];
  if (condition.arches?.length) parts.push(condition.arches.includes(target.arch));
  for (const capability of condition.caps ?? []) parts.push(target.capabilities.includes(capability));
  if (condition.minKernel) {
    const needed = kernelNumber(condition.minKernel);
    const running = kernelNumber(target.kernelVersion);
    if (needed === undefined) throw invalid(`${path}.minKernel`, `"${condition.minKernel}" is not a kernel version`);
    if (running === undefined)
      throw new LighterError("internal", `parse the kernel's version "${target.kernelVersion}": no two numbers`);
    parts.push(running >= needed);
  }
  return mode === "all" ? parts.every(Boolean) : parts.some(Boolean);
}

/**
 * The runtime-spec section of `profile` for one container: conditional rules kept or left out, `archMap` resolved. Pure. Names,
 * actions and comparisons are passed on unchanged; compiling the filter checks them.
 * @throws LighterError ("invalid") if both `architectures` and `archMap` are given.
 */
export function toOciSeccomp(profile: DockerSeccompProfile, target: SeccompTarget): OciSeccomp {
  const { archMap = [], syscalls, ...common } = profile;
  if (archMap.length > 0 && (common.architectures ?? []).length > 0)
    throw invalid("architectures", "and archMap are both given: use one of them");
  const native = archMap.find((entry) => entry.architecture === NATIVE_SCMP_ARCH[target.arch]);
  const rules = syscalls.filter(
    ({ includes, excludes }, index) =>
      (!includes || holds(includes, "all", target, `syscalls[${index}].includes`)) &&
      !(excludes && holds(excludes, "any", target, `syscalls[${index}].excludes`)),
  );
  return {
    ...common,
    ...(native ? { architectures: [native.architecture, ...native.subArchitectures] } : {}),
    syscalls: rules.map(({ comment: _comment, includes: _includes, excludes: _excludes, ...rule }) => rule),
  };
}

/** A JSON object being read. Keys match in any case, and null counts as absent, as Go's decoder does for Docker. */
class Fields {
  readonly #values = new Map<string, unknown>();

  constructor(
    value: unknown,
    readonly path: string,
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw invalid(path || "the document", "is not an object");
    for (const [key, field] of Object.entries(value)) if (field !== null) this.#values.set(key.toLowerCase(), field);
  }

  pathOf(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }

  #get<T>(key: string, isType: (value: unknown) => value is T, typeName: string): T | undefined {
    const value = this.#values.get(key.toLowerCase());
    if (value === undefined || isType(value)) return value;
    throw invalid(this.pathOf(key), `is not ${typeName}`);
  }

  string(key: string): string | undefined {
    return this.#get(key, (value) => typeof value === "string", "a string");
  }

  integer(key: string): number | undefined {
    const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
    return this.#get(key, isCount, "an unsigned integer");
  }

  u64(key: string): number | bigint | undefined {
    const isU64 = (value: unknown): value is number | bigint =>
      typeof value === "bigint" ? value < 2n ** 64n : Number.isSafeInteger(value) && (value as number) >= 0;
    return this.#get(key, isU64, "an unsigned 64-bit integer");
  }

  list(key: string): unknown[] | undefined {
    return this.#get(key, Array.isArray, "a list");
  }

  strings(key: string): string[] | undefined {
    return this.list(key)?.map((item, index) => {
      if (typeof item !== "string") throw invalid(`${this.pathOf(key)}[${index}]`, "is not a string");
      return item;
    });
  }

  objects<T>(key: string, read: (fields: Fields) => T): T[] | undefined {
    return this.list(key)?.map((item, index) => read(new Fields(item, `${this.pathOf(key)}[${index}]`)));
  }

  object<T>(key: string, read: (fields: Fields) => T): T | undefined {
    const value = this.#values.get(key.toLowerCase());
    return value === undefined ? undefined : read(new Fields(value, this.pathOf(key)));
  }
}

/** The object without keys whose value is undefined: exactOptionalPropertyTypes tells them from absent ones. */
function present<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function readCondition(fields: Fields): DockerSeccompCondition {
  const minKernel = fields.string("minKernel");
  // Docker takes two numbers under 256, not both 0; an empty string counts as absent.
  if (minKernel) {
    const parts = /^(\d+)\.(\d+)$/.exec(minKernel)?.slice(1).map(Number);
    if (!parts || parts.some((part) => part > 255) || parts.every((part) => part === 0))
      throw invalid(fields.pathOf("minKernel"), `"${minKernel}" is not of the form "<kernel>.<major>"`);
  }
  return present<DockerSeccompCondition>({
    caps: fields.strings("caps"),
    arches: fields.strings("arches"),
    minKernel: minKernel || undefined,
  });
}

function readArg(fields: Fields): OciSeccompArg {
  return present<OciSeccompArg>({
    index: fields.integer("index") ?? 0,
    value: fields.u64("value") ?? 0,
    valueTwo: fields.u64("valueTwo"),
    op: fields.string("op") ?? "",
  });
}

function readRule(fields: Fields): DockerSeccompRule {
  const name = fields.string("name");
  const names = fields.strings("names") ?? [];
  if (name && names.length > 0) throw invalid(fields.path, "has both name and names: use one of them");
  return present<DockerSeccompRule>({
    names: name ? [name] : names,
    action: fields.string("action") ?? "",
    errnoRet: fields.integer("errnoRet"),
    args: fields.objects("args", readArg),
    comment: fields.string("comment"),
    includes: fields.object("includes", readCondition),
    excludes: fields.object("excludes", readCondition),
  });
}

/**
 * Reads a profile as `docker run --security-opt seccomp=` takes it. Unknown keys are ignored, null counts as absent, and keys
 * match in any case, as with Docker; types are strict. One difference: Docker takes an empty profile for "no seccomp"; here it is
 * refused.
 * @throws LighterError ("invalid") naming the JSON path, or the limit.
 */
export function parseDockerSeccompProfile(json: string): DockerSeccompProfile {
  if (json.length > SECCOMP_PROFILE_MAX_BYTES)
    throw new LighterError("invalid", `seccomp profile: longer than ${SECCOMP_PROFILE_MAX_BYTES} bytes`);
  const fields = new Fields(parseExactJson(json, "seccomp profile"), "");
  const defaultAction = fields.string("defaultAction");
  if (!defaultAction)
    throw new LighterError("invalid", "seccomp profile: defaultAction is missing", {
      hint: 'for no filter at all use "seccomp=unconfined"',
    });
  const ruleCount = fields.list("syscalls")?.length ?? 0;
  if (ruleCount > SECCOMP_MAX_RULES)
    throw invalid("syscalls", `has ${ruleCount} rules, more than ${SECCOMP_MAX_RULES}`);
  const syscalls = fields.objects("syscalls", readRule) ?? [];
  const nameCount = syscalls.reduce((sum, rule) => sum + rule.names.length, 0);
  if (nameCount > SECCOMP_MAX_NAMES)
    throw invalid("syscalls", `name ${nameCount} system calls, more than ${SECCOMP_MAX_NAMES}`);
  const profile = present<DockerSeccompProfile>({
    defaultAction,
    defaultErrnoRet: fields.integer("defaultErrnoRet"),
    architectures: fields.strings("architectures"),
    archMap: fields.objects("archMap", (entry) => ({
      architecture: entry.string("architecture") ?? "",
      subArchitectures: entry.strings("subArchitectures") ?? [],
    })),
    flags: fields.strings("flags"),
    listenerPath: fields.string("listenerPath"),
    listenerMetadata: fields.string("listenerMetadata"),
    syscalls,
  });
  if (profile.archMap?.length && profile.architectures?.length)
    throw invalid("architectures", "and archMap are both given: use one of them");
  return profile;
}
