/**
 * Applies instructions that change nothing but an image's config: `docker commit --change`, `docker import --change`.
 * Messages are Docker's. Sources: Dockerfile reference; what Docker 26.1 answers.
 */

import { posix } from "node:path";
import { parseDuration } from "../base/duration.ts";
import { LighterError } from "../base/errors.ts";
import { int64Number } from "../base/int64.ts";
import { EXPOSED_PORTS_MAX } from "../base/limits.ts";
import { parseSignal } from "../base/signals.ts";
import { NS_PER_MS } from "../base/time.ts";
import type { DockerContainerConfig, DockerHealthConfig } from "../spec/docker-api.ts";
import { type Instruction, parseInstructions, parseJsonStrings } from "./instruction.ts";
import { expandWord, expandWords, splitWords, type Variables } from "./words.ts";

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

/** The result of the instructions so far. */
interface Changing {
  config: DockerContainerConfig;
  /** Whether an instruction has set the command: then an entrypoint does not clear it. */
  cmdSet: boolean;
}

type Apply = (changing: Changing, instruction: Instruction) => void;

const INSTRUCTIONS: Readonly<Record<string, Apply>> = {
  CMD: applyCmd,
  ENTRYPOINT: applyEntrypoint,
  ENV: applyEnv,
  EXPOSE: applyExpose,
  HEALTHCHECK: applyHealthcheck,
  LABEL: applyLabel,
  ONBUILD: applyOnBuild,
  STOPSIGNAL: applyStopSignal,
  USER: applyUser,
  VOLUME: applyVolume,
  WORKDIR: applyWorkdir,
};

/**
 * `config` with the changes, each of which is one or more lines of a Dockerfile. `config` itself is not changed.
 * @throws LighterError ("invalid") with Docker's wording.
 */
export function changeConfig(config: DockerContainerConfig, changes: readonly string[]): DockerContainerConfig {
  const instructions = parseInstructions(changes.join("\n"));
  for (const { name } of instructions)
    if (!Object.hasOwn(INSTRUCTIONS, name)) throw invalid(`${name} is not a valid change command`);
  const changing: Changing = { config: structuredClone(config), cmdSet: false };
  for (const instruction of instructions) {
    if (instruction.name !== "HEALTHCHECK" && instruction.flags.length > 0)
      throw invalid(`unknown flag: ${instruction.flags[0]![0]}`);
    INSTRUCTIONS[instruction.name]!(changing, instruction);
  }
  return changing.config;
}

function requireArguments({ name, rest }: Instruction, count: "exactly one argument" | "at least one argument"): void {
  if (rest === "") throw invalid(`${name} requires ${count}`);
}

function variablesOf({ Env }: DockerContainerConfig): Variables {
  return new Map(
    (Env ?? []).map((variable) => {
      const at = variable.indexOf("=");
      return at < 0 ? [variable, ""] : [variable.slice(0, at), variable.slice(at + 1)];
    }),
  );
}

/** A command: a JSON list is executed directly, everything else by the shell. */
function commandOf(config: DockerContainerConfig, rest: string): string[] {
  return parseJsonStrings(rest) ?? [...(config.Shell ?? ["/bin/sh", "-c"]), ...(rest === "" ? [] : [rest])];
}

function applyCmd(changing: Changing, { rest }: Instruction): void {
  changing.config.Cmd = commandOf(changing.config, rest);
  changing.cmdSet = true;
}

function applyEntrypoint({ config, cmdSet }: Changing, { rest }: Instruction): void {
  const command = commandOf(config, rest);
  config.Entrypoint = command.length === 0 ? null : command;
  if (!cmdSet) config.Cmd = null; // it was written for the former entrypoint
}

/** Parses "NAME=value …", or the old "NAME value with spaces". */
function parsePairs({ name, rest }: Instruction): [key: string, value: string][] {
  const words = splitWords(rest);
  if (words.length === 0) throw invalid(`${name} requires at least one argument`);
  if (!words[0]!.includes("=")) {
    const match = /^(\S+)\s+(.*)$/s.exec(rest);
    if (match === null) throw invalid(`${name} must have two arguments`);
    return [[match[1]!, match[2]!]];
  }
  return words.map((word) => {
    const at = word.indexOf("=");
    if (at < 0) throw invalid(`Syntax error - can't find = in "${word}". Must be of the form: name=value`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

/** Expands variables. All pairs of an instruction see them as they were before it. */
function expandPairs(config: DockerContainerConfig, instruction: Instruction): [key: string, value: string][] {
  const variables = variablesOf(config);
  return parsePairs(instruction).map(([key, value]) => {
    const expandedKey = expandWord(key, variables);
    if (expandedKey === "") throw invalid(`${instruction.name} names can not be blank`);
    return [expandedKey, expandWord(value, variables)];
  });
}

function applyEnv({ config }: Changing, instruction: Instruction): void {
  const env = [...(config.Env ?? [])];
  for (const [name, value] of expandPairs(config, instruction)) {
    const index = env.findIndex((variable) => variable === name || variable.startsWith(`${name}=`));
    if (index < 0) env.push(`${name}=${value}`);
    else env[index] = `${name}=${value}`;
  }
  config.Env = env;
}

function applyLabel({ config }: Changing, instruction: Instruction): void {
  const labels = new Map(Object.entries(config.Labels ?? {}));
  for (const [key, value] of expandPairs(config, instruction)) labels.set(key, value);
  config.Labels = Object.fromEntries(labels);
}

function applyExpose({ config }: Changing, instruction: Instruction): void {
  requireArguments(instruction, "at least one argument");
  const variables = variablesOf(config);
  const ports = { ...config.ExposedPorts };
  for (const word of splitWords(instruction.rest))
    for (const spec of expandWords(word, variables)) for (const port of parsePorts(spec)) ports[port] = {};
  if (Object.keys(ports).length > EXPOSED_PORTS_MAX) throw invalid(`EXPOSE: more than ${EXPOSED_PORTS_MAX} ports`);
  if (Object.keys(ports).length > 0) config.ExposedPorts = ports;
}

/** Parses "80", "80/udp", "80-90/tcp". In "host:container" only the container's ports count. */
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

function applyUser({ config }: Changing, instruction: Instruction): void {
  requireArguments(instruction, "exactly one argument");
  config.User = expandWord(instruction.rest, variablesOf(config));
}

function applyVolume({ config }: Changing, instruction: Instruction): void {
  const listed = parseJsonStrings(instruction.rest) ?? instruction.rest.split(/\s+/).filter((word) => word !== "");
  if (listed.length === 0) throw invalid("VOLUME requires at least one argument");
  const variables = variablesOf(config);
  const volumes = { ...config.Volumes };
  for (const word of listed) {
    const path = expandWord(word, variables).trim();
    if (path === "") throw invalid("VOLUME specified can not be an empty string");
    volumes[path] = {};
  }
  config.Volumes = volumes;
}

function applyWorkdir({ config }: Changing, instruction: Instruction): void {
  requireArguments(instruction, "exactly one argument");
  const path = expandWord(instruction.rest, variablesOf(config));
  config.WorkingDir = posix.resolve("/", config.WorkingDir ?? "", path);
}

function applyStopSignal({ config }: Changing, instruction: Instruction): void {
  requireArguments(instruction, "exactly one argument");
  const signal = expandWord(instruction.rest, variablesOf(config));
  if (parseSignal(signal) === undefined) throw invalid(`invalid signal: ${signal}`);
  config.StopSignal = signal;
}

const NO_TRIGGER = ["FROM", "MAINTAINER"];

function applyOnBuild({ config }: Changing, instruction: Instruction): void {
  requireArguments(instruction, "at least one argument");
  const trigger = instruction.rest.split(/\s/, 1)[0]!.toUpperCase();
  if (trigger === "ONBUILD") throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (NO_TRIGGER.includes(trigger)) throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  config.OnBuild = [...(config.OnBuild ?? []), instruction.rest];
}

/** The config's fields for the flags, with Docker's names for them in errors. */
const HEALTH_TIMES: Readonly<Record<string, "Interval" | "Timeout" | "StartPeriod" | "StartInterval">> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
};

function applyHealthcheck({ config }: Changing, { flags, rest }: Instruction): void {
  const [, given = "", argument = ""] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
  const type = given.toUpperCase();
  const check: DockerHealthConfig = {};
  for (const [name, value] of flags) applyHealthFlag(check, name, value);
  if (type === "") throw invalid("HEALTHCHECK requires at least one argument");
  if (type === "NONE") {
    if (argument !== "") throw invalid("HEALTHCHECK NONE takes no arguments");
    config.Healthcheck = { Test: ["NONE"] };
    return;
  }
  if (type !== "CMD") throw invalid(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  const listed = parseJsonStrings(argument);
  if (argument === "" || listed?.length === 0) throw invalid("Missing command after HEALTHCHECK CMD");
  config.Healthcheck = { Test: listed === undefined ? ["CMD-SHELL", argument] : ["CMD", ...listed], ...check };
}

function applyHealthFlag(check: DockerHealthConfig, name: string, value: string | undefined): void {
  const field = Object.hasOwn(HEALTH_TIMES, name) ? HEALTH_TIMES[name] : undefined;
  if (field === undefined && name !== "retries") throw invalid(`unknown flag: ${name}`);
  if (value === undefined) throw invalid(`missing a value on flag: ${name}`);
  if (field === undefined) {
    if (!/^[+-]?\d{1,9}$/.test(value))
      throw invalid(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
    if (Number(value) < 0) throw invalid(`--retries cannot be negative (${Number(value)})`);
    if (Number(value) > 0) check.Retries = Number(value);
    return;
  }
  const ns = parseDuration(value);
  if (ns !== 0n && ns < NS_PER_MS) throw invalid(`Interval "${name}" cannot be less than 1ms`);
  if (ns !== 0n) check[field] = int64Number(ns)!;
}
