/**
 * Each instruction's own syntax. Messages are BuildKit's.
 * Sources: Dockerfile reference; moby/buildkit instructions/parse.go and parser/line_parsers.go.
 */
import { parseDuration } from "../../base/duration.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { NS_PER_MS } from "../../base/time.ts";
import { invalid } from "./error.ts";
import { Flags, type FlagTable } from "./flags.ts";
import { parseHeredoc } from "./heredoc.ts";
import { parseJsonStrings } from "./json-form.ts";
import type { Line } from "./lines.ts";
import { outlineMount } from "./mount.ts";
import { withSuggestion } from "./suggest.ts";
import type { Add, CommandLine, Copy, From, Healthcheck, Instruction, InstructionKind, Pair, Run } from "./types.ts";
import { splitWords } from "./words.ts";

/** The line, its flags, and what is common to all instructions. */
interface Parsing {
  line: Line;
  /** In capitals. */
  name: string;
  escape: string;
  written: Pick<Instruction, "range" | "keyword" | "original" | "comments">;
}

type Parse = (parsing: Parsing) => Instruction;

const PARSERS: Readonly<Record<InstructionKind, Parse>> = {
  add: parseAdd,
  arg: parseArg,
  cmd: (parsing) => ({ ...parsing.written, kind: "cmd", command: parseCommand(parsing) }),
  copy: parseCopy,
  entrypoint: (parsing) => ({ ...parsing.written, kind: "entrypoint", command: parseCommand(parsing) }),
  env: (parsing) => ({ ...parsing.written, kind: "env", pairs: parsePairs(parsing) }),
  expose: (parsing) => ({ ...parsing.written, kind: "expose", ports: parseList(parsing).sort() }),
  from: parseFrom,
  healthcheck: parseHealthcheck,
  label: (parsing) => ({ ...parsing.written, kind: "label", pairs: parsePairs(parsing) }),
  maintainer: (parsing) => ({ ...parsing.written, kind: "maintainer", name: parseSingle(parsing) }),
  onbuild: parseOnBuild,
  run: parseRun,
  shell: parseShell,
  stopsignal: (parsing) => ({ ...parsing.written, kind: "stopsignal", signal: parseSingle(parsing) }),
  user: (parsing) => ({ ...parsing.written, kind: "user", user: parseSingle(parsing) }),
  volume: parseVolume,
  workdir: (parsing) => ({ ...parsing.written, kind: "workdir", path: parseSingle(parsing) }),
};

/** @throws LighterError ("invalid"), with BuildKit's words. */
export function parseInstruction(line: Line, escapeChar: string): Instruction {
  const kind = line.keyword.toLowerCase();
  const parse = Object.hasOwn(PARSERS, kind) ? PARSERS[kind as InstructionKind] : undefined;
  const names = Object.keys(PARSERS);
  if (parse === undefined) throw invalid(unknownInstruction(line.keyword, kind, names));
  const { keyword, original, comments, range } = line;
  return parse({ line, name: kind.toUpperCase(), escape: escapeChar, written: { keyword, original, comments, range } });
}

/** The suggestion is in capitals if what was written is. */
function unknownInstruction(keyword: string, kind: string, names: readonly string[]): string {
  const isUpper = keyword === keyword.toUpperCase();
  const shown = keyword.length > 100 ? `${keyword.slice(0, 100)}…` : keyword;
  const message = withSuggestion(`unknown instruction: ${shown}`, kind, names);
  return isUpper
    ? message.replace(/\(did you mean (\w+)\?\)$/, (text, name) => text.replace(name, name.toUpperCase()))
    : message;
}

const NO_FLAGS: FlagTable = {};

function requireNoFlags({ line }: Parsing): void {
  new Flags(line.flags, NO_FLAGS);
}

function parseSingle(parsing: Parsing): string {
  if (parsing.line.rest === "") throw invalid(`${parsing.name} requires exactly one argument`);
  requireNoFlags(parsing);
  return parsing.line.rest;
}

/** Words at white space, quotes being part of them. */
function listOf(rest: string): string[] {
  return rest === "" ? [] : rest.split(/[\t\v\f\r ]+/);
}

function parseList(parsing: Parsing): string[] {
  const words = listOf(parsing.line.rest);
  if (words.length === 0) throw invalid(`${parsing.name} requires at least one argument`);
  requireNoFlags(parsing);
  return words;
}

function parseCommand(parsing: Parsing): CommandLine {
  requireNoFlags(parsing);
  return commandOf(parsing.line.rest);
}

function commandOf(text: string): CommandLine {
  const listed = parseJsonStrings(text);
  if (listed !== undefined) return { form: "exec", words: listed, heredocs: [] };
  return { form: "shell", words: text === "" ? [] : [text], heredocs: [] };
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function parseFrom({ line, written }: Parsing): From {
  const words = listOf(line.rest);
  const hasName = words.length === 3 && words[1]!.toLowerCase() === "as";
  if (words.length !== 1 && !hasName) throw invalid("FROM requires either one or three arguments");
  const name = words[2]?.toLowerCase();
  if (name !== undefined && !STAGE_NAME.test(name))
    throw invalid(
      `invalid name for build stage: ${goQuote(words[2]!)}, name can't start with a number or contain symbols`,
    );
  const platform = new Flags(line.flags, { platform: "text" }).text("platform");
  return {
    ...written,
    kind: "from",
    image: words[0]!,
    ...(name === undefined ? {} : { name, nameWritten: words[2]!, asWritten: words[1]! }),
    ...(platform ? { platform } : {}),
    description: descriptionOf(written.comments, name),
  };
}

/** What a comment "# NAME text" above an instruction says of that name. */
function descriptionOf(comments: readonly string[], name: string | undefined): string {
  if (name === undefined) return "";
  return comments.find((comment) => comment.startsWith(`${name} `))?.slice(name.length + 1) ?? "";
}

function parseArg(parsing: Parsing): Instruction {
  const words = splitWords(parsing.line.rest, parsing.escape);
  if (words.length === 0) throw invalid("ARG requires at least one argument");
  requireNoFlags(parsing);
  const args = words.map((word) => {
    const at = word.indexOf("=");
    if (at === 0) throw invalid("ARG names can not be blank");
    const name = at < 0 ? word : word.slice(0, at);
    const description = descriptionOf(parsing.written.comments, name);
    return { name, ...(at < 0 ? {} : { value: word.slice(at + 1) }), description };
  });
  return { ...parsing.written, kind: "arg", args };
}

/** "NAME=value …", or the old "NAME value with spaces". */
function parsePairs(parsing: Parsing): Pair[] {
  const { line, name } = parsing;
  const words = splitWords(line.rest, parsing.escape);
  const pairs = words[0]?.includes("=") === false ? [legacyPair(line.rest, name)] : words.map(pairOf);
  requireNoFlags(parsing);
  if (pairs.length === 0) throw invalid(`${name} requires at least one argument`);
  if (pairs.some((pair) => pair.name === "")) throw invalid(`${name} names can not be blank`);
  return pairs;
}

function legacyPair(rest: string, name: string): Pair {
  const gap = /[\t\v\f\r ]+/.exec(rest);
  if (gap === null) throw invalid(`${name} must have two arguments`);
  return { name: rest.slice(0, gap.index), value: rest.slice(gap.index + gap[0].length), isLegacy: true };
}

function pairOf(word: string): Pair {
  const at = word.indexOf("=");
  if (at < 0) throw invalid(`Syntax error - can't find = in ${goQuote(word)}. Must be of the form: name=value`);
  return { name: word.slice(0, at), value: word.slice(at + 1), isLegacy: false };
}

const TRANSFER_FLAGS = { chown: "text", chmod: "text", link: "boolean", exclude: "texts" } as const;

function parseTransfer({ line, name }: Parsing, flags: Flags) {
  const words = parseJsonStrings(line.rest) ?? listOf(line.rest);
  const destination = words.pop()!;
  if (parseHeredoc(destination) !== undefined) throw invalid(`${name} cannot accept a heredoc as a destination`);
  const isHeredoc = (word: string) => line.heredocs.length > 0 && parseHeredoc(word) !== undefined;
  const [chown, chmod] = [flags.text("chown"), flags.text("chmod")];
  return {
    sources: words.filter((word) => !isHeredoc(word)),
    heredocs: line.heredocs,
    destination,
    ...(chown ? { chown } : {}),
    ...(chmod ? { chmod } : {}),
    link: flags.boolean("link") ?? false,
    exclude: flags.texts("exclude"),
  };
}

function requireDestination({ line, name }: Parsing): void {
  if ((parseJsonStrings(line.rest) ?? listOf(line.rest)).length < 2)
    throw invalid(
      `${name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
}

function parseCopy(parsing: Parsing): Copy {
  requireDestination(parsing);
  const flags = new Flags(parsing.line.flags, { ...TRANSFER_FLAGS, from: "text", parents: "boolean" });
  const from = flags.text("from");
  const transfer = parseTransfer(parsing, flags);
  const parents = flags.boolean("parents") ?? false;
  return { ...parsing.written, kind: "copy", ...transfer, ...(from ? { from } : {}), parents };
}

function parseAdd(parsing: Parsing): Add {
  requireDestination(parsing);
  const table = { ...TRANSFER_FLAGS, checksum: "text", "keep-git-dir": "boolean", unpack: "boolean" } as const;
  const flags = new Flags(parsing.line.flags, table);
  const [checksum, keepGitDir] = [flags.text("checksum"), flags.boolean("keep-git-dir")];
  const unpack = flags.boolean("unpack");
  return {
    ...parsing.written,
    kind: "add",
    ...parseTransfer(parsing, flags),
    ...(checksum ? { checksum } : {}),
    ...(keepGitDir === undefined ? {} : { keepGitDir }),
    ...(unpack === undefined ? {} : { unpack }),
  };
}

const NETWORKS = ["default", "none", "host"] as const;
const SECURITY = ["sandbox", "insecure"] as const;

function parseRun({ line, written }: Parsing): Run {
  const flags = new Flags(line.flags, { mount: "texts", network: "text", security: "text", device: "texts" });
  const [givenNetwork, givenSecurity] = [flags.text("network") ?? "default", flags.text("security") ?? "sandbox"];
  const network = NETWORKS.find((each) => each === givenNetwork);
  const security = SECURITY.find((each) => each === givenSecurity);
  const mounts = flags.texts("mount").map(outlineMount);
  if (network === undefined) throw invalid(`invalid network mode ${goQuote(givenNetwork)}`);
  if (security === undefined) throw invalid(`security ${goQuote(givenSecurity)} is not valid`);
  const command = { ...commandOf(line.rest), heredocs: line.heredocs };
  return { ...written, kind: "run", command, mounts, network, security, devices: flags.texts("device") };
}

function parseShell(parsing: Parsing): Instruction {
  requireNoFlags(parsing);
  const command = commandOf(parsing.line.rest);
  if (command.words.length === 0) throw invalid("SHELL requires at least one argument");
  if (command.form === "shell") throw invalid("SHELL requires the arguments to be in JSON form");
  return { ...parsing.written, kind: "shell", words: command.words };
}

function parseVolume(parsing: Parsing): Instruction {
  const words = parseJsonStrings(parsing.line.rest) ?? listOf(parsing.line.rest);
  if (words.length === 0) throw invalid("VOLUME requires at least one argument");
  requireNoFlags(parsing);
  const paths = words.map((word) => word.trim());
  if (paths.includes("")) throw invalid("VOLUME specified can not be an empty string");
  return { ...parsing.written, kind: "volume", paths };
}

const NO_TRIGGER = ["FROM", "MAINTAINER"];

function parseOnBuild(parsing: Parsing): Instruction {
  const { line } = parsing;
  if (line.rest === "") throw invalid("ONBUILD requires at least one argument");
  requireNoFlags(parsing);
  const trigger = line.rest.split(/\s/, 1)[0]!.toUpperCase();
  if (trigger === "ONBUILD") throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (NO_TRIGGER.includes(trigger)) throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  const heredocs = line.heredocs.map(({ name, content }) => `\n${content}${name}`);
  return { ...parsing.written, kind: "onbuild", trigger: line.rest + heredocs.join("") };
}

const HEALTH_FLAGS = {
  interval: "text",
  timeout: "text",
  "start-period": "text",
  "start-interval": "text",
  retries: "text",
} as const;

function parseHealthcheck({ line, written }: Parsing): Healthcheck {
  const [, given = "", argument = ""] = /^(\S*)\s*(.*)$/s.exec(line.rest) ?? [];
  const type = given.toUpperCase();
  if (type === "") throw invalid("HEALTHCHECK requires at least one argument");
  if (type === "NONE") {
    if (argument !== "") throw invalid("HEALTHCHECK NONE takes no arguments");
    return { ...written, kind: "healthcheck", test: "none" };
  }
  const flags = new Flags(line.flags, HEALTH_FLAGS);
  if (type !== "CMD") throw invalid(`Unknown type ${goQuote(type)} in HEALTHCHECK (try CMD)`);
  const test = commandOf(argument);
  if (test.words.length === 0) throw invalid("Missing command after HEALTHCHECK CMD");
  const times = {
    intervalNs: parseInterval(flags, "interval"),
    timeoutNs: parseInterval(flags, "timeout"),
    startPeriodNs: parseInterval(flags, "start-period"),
    startIntervalNs: parseInterval(flags, "start-interval"),
    retries: parseRetries(flags.text("retries")),
  };
  const known = Object.entries(times).filter(([, value]) => value !== undefined);
  return { ...written, kind: "healthcheck", test, ...Object.fromEntries(known) };
}

/** Undefined: Docker's default, as if nothing was given. */
function parseInterval(flags: Flags, name: keyof typeof HEALTH_FLAGS): bigint | undefined {
  const text = flags.text(name);
  if (!text) return undefined;
  const ns = parseDuration(text);
  if (ns === 0n) return undefined;
  if (ns < NS_PER_MS) throw invalid(`Interval ${goQuote(name)} cannot be less than 1ms`);
  return ns;
}

function parseRetries(text: string | undefined): number | undefined {
  if (!text) return undefined;
  if (!/^[+-]?\d{1,9}$/.test(text)) throw invalid(`strconv.ParseInt: parsing ${goQuote(text)}: invalid syntax`);
  if (Number(text) < 0) throw invalid(`--retries cannot be negative (${Number(text)})`);
  return Number(text) || undefined;
}
