/**
 * Instructions that change an image's config and nothing else: `docker commit --change`, `docker import --change`.
 * Messages are Docker's. Sources: Dockerfile reference; what Docker 26.1 answers.
 */
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { int64Number } from "../base/int64.ts";
import { DOCKERFILE_MAX_CHARS, EXPOSED_PORTS_MAX } from "../base/limits.ts";
import { parseSignal } from "../base/signals.ts";
import type { DockerContainerConfig, DockerHealthConfig } from "../spec/docker-api.ts";
import { invalid } from "./dockerfile/error.ts";
import { expandInstruction } from "./dockerfile/expand.ts";
import { parseInstruction } from "./dockerfile/instructions.ts";
import { readLines } from "./dockerfile/lines.ts";
import type { CommandLine, Healthcheck, Instruction, InstructionKind, Pair } from "./dockerfile/types.ts";

/** What the instructions have made so far. */
interface Changing {
  config: DockerContainerConfig;
  /** Whether one of them has set the command: then an entrypoint leaves it alone. */
  cmdSet: boolean;
}

const CHANGES: ReadonlySet<string> = new Set<InstructionKind>([
  ...(["cmd", "entrypoint", "env", "expose", "healthcheck", "label"] as const),
  ...(["onbuild", "stopsignal", "user", "volume", "workdir"] as const),
]);

const ESCAPE = "\\";

/**
 * `config` with the changes, each a line or more of a Dockerfile. `config` stays as it is.
 * @throws LighterError ("invalid") with Docker's wording, and beyond DOCKERFILE_MAX_CHARS.
 */
export function changeConfig(config: DockerContainerConfig, changes: readonly string[]): DockerContainerConfig {
  const text = changes.join("\n");
  if (text.length > DOCKERFILE_MAX_CHARS)
    throw new LighterError(
      "invalid",
      `instructions have ${text.length} characters, above the limit of ${DOCKERFILE_MAX_CHARS}`,
    );
  const { lines } = readLines(text);
  for (const { keyword } of lines)
    if (!CHANGES.has(keyword.toLowerCase())) throw invalid(`${keyword.toUpperCase()} is not a valid change command`);
  const changing: Changing = { config: structuredClone(config), cmdSet: false };
  for (const line of lines) {
    const instruction = parseInstruction(line, ESCAPE);
    apply(changing, expandInstruction(instruction, { variables: variablesOf(changing.config), escape: ESCAPE }));
  }
  return changing.config;
}

function variablesOf({ Env }: DockerContainerConfig): Map<string, string> {
  return new Map(
    (Env ?? []).map((variable) => {
      const at = variable.indexOf("=");
      return at < 0 ? [variable, ""] : [variable.slice(0, at), variable.slice(at + 1)];
    }),
  );
}

/** The config after an expanded instruction; itself where that is none that changes it. `cmdSet`: its stage has a CMD already. */
export function changedBy(
  config: DockerContainerConfig,
  instruction: Instruction,
  cmdSet: boolean,
): DockerContainerConfig {
  const changing: Changing = { config: structuredClone(config), cmdSet };
  apply(changing, instruction);
  return changing.config;
}

function apply(changing: Changing, instruction: Instruction): void {
  const { config } = changing;
  switch (instruction.kind) {
    case "cmd":
      config.Cmd = commandOf(config, instruction.command);
      changing.cmdSet = true;
      return;
    case "entrypoint": {
      const command = commandOf(config, instruction.command);
      config.Entrypoint = command.length === 0 ? null : command;
      if (!changing.cmdSet) config.Cmd = null; // it was written for the entrypoint before
      return;
    }
    case "env":
      applyEnv(config, instruction.pairs);
      return;
    case "label":
      requireNames("LABEL", instruction.pairs);
      config.Labels = Object.fromEntries([
        ...Object.entries(config.Labels ?? {}),
        ...instruction.pairs.map(({ name, value }) => [name, value]),
      ]);
      return;
    case "expose":
      applyExpose(config, instruction.ports);
      return;
    case "user":
      config.User = instruction.user;
      return;
    case "volume":
      applyVolume(config, instruction.paths);
      return;
    case "workdir":
      config.WorkingDir = posix.resolve("/", config.WorkingDir ?? "", instruction.path);
      return;
    case "stopsignal":
      if (parseSignal(instruction.signal) === undefined) throw invalid(`invalid signal: ${instruction.signal}`);
      config.StopSignal = instruction.signal;
      return;
    case "onbuild":
      config.OnBuild = [...(config.OnBuild ?? []), instruction.trigger];
      return;
    case "healthcheck":
      config.Healthcheck = healthcheckOf(instruction);
  }
}

/** A list in JSON is executed as it is, everything else by the shell. */
function commandOf(config: DockerContainerConfig, { form, words }: CommandLine): string[] {
  return form === "exec" ? words : [...(config.Shell ?? ["/bin/sh", "-c"]), ...words];
}

function requireNames(instruction: string, pairs: readonly Pair[]): void {
  if (pairs.some(({ name }) => name === "")) throw invalid(`${instruction} names can not be blank`);
}

function applyEnv(config: DockerContainerConfig, pairs: readonly Pair[]): void {
  requireNames("ENV", pairs);
  const env = [...(config.Env ?? [])];
  for (const { name, value } of pairs) {
    const index = env.findIndex((variable) => variable === name || variable.startsWith(`${name}=`));
    if (index < 0) env.push(`${name}=${value}`);
    else env[index] = `${name}=${value}`;
  }
  config.Env = env;
}

function applyExpose(config: DockerContainerConfig, specs: readonly string[]): void {
  const ports = { ...config.ExposedPorts };
  for (const spec of specs) for (const port of parsePorts(spec)) ports[port] = {};
  if (Object.keys(ports).length > EXPOSED_PORTS_MAX) throw invalid(`EXPOSE: more than ${EXPOSED_PORTS_MAX} ports`);
  if (Object.keys(ports).length > 0) config.ExposedPorts = ports;
}

/** Reads "80", "80/udp" or "80-90/tcp"; of "host:container" the container's part counts. */
function parsePorts(spec: string): string[] {
  const slash = spec.indexOf("/");
  const protocol = slash < 0 ? "tcp" : spec.slice(slash + 1).toLowerCase() || "tcp";
  const range = (slash < 0 ? spec : spec.slice(0, slash)).split(":").at(-1)!;
  if (range === "") throw invalid(`No port specified: ${spec}<empty>`);
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range);
  const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (match === null || last > 65535 || first > last) throw invalid(`Invalid containerPort: ${range}`);
  if (!["tcp", "udp", "sctp"].includes(protocol)) throw invalid(`Invalid proto: ${protocol}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

function applyVolume(config: DockerContainerConfig, paths: readonly string[]): void {
  const volumes = { ...config.Volumes };
  for (const path of paths.map((each) => each.trim())) {
    if (path === "") throw invalid("VOLUME specified can not be an empty string");
    volumes[path] = {};
  }
  config.Volumes = volumes;
}

function healthcheckOf({ test, retries, ...times }: Healthcheck): DockerHealthConfig {
  if (test === "none") return { Test: ["NONE"] };
  const check: DockerHealthConfig = { Test: [test.form === "exec" ? "CMD" : "CMD-SHELL", ...test.words] };
  if (times.intervalNs !== undefined) check.Interval = int64Number(times.intervalNs)!;
  if (times.timeoutNs !== undefined) check.Timeout = int64Number(times.timeoutNs)!;
  if (times.startPeriodNs !== undefined) check.StartPeriod = int64Number(times.startPeriodNs)!;
  if (times.startIntervalNs !== undefined) check.StartInterval = int64Number(times.startIntervalNs)!;
  if (retries !== undefined) check.Retries = retries;
  return check;
}
