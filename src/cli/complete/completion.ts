/**
 * Candidates for the word that is being typed, from what drives the commands themselves: the command tables, the flag
 * tables, and the words of the usage lines ("CONTAINER", "IMAGE"), which say what an argument is.
 */

import type { Command, CommandTable, LoadedCommand } from "../command.ts";
import { findCommand } from "../command-table.ts";
import type { Flag, FlagTable } from "../flags.ts";
import { globalFlags } from "../global-flags.ts";
import { type Client, encodeQuery } from "../http/client.ts";

interface Candidate {
  readonly word: string;
  readonly help?: string;
}

interface Completion {
  readonly candidates: readonly Candidate[];
  /** "files": the shell offers file names as well. "nospace": the word goes on after a candidate. */
  readonly directive?: "files" | "nospace";
}

const NOTHING: Completion = { candidates: [] };
const FILES: Completion = { candidates: [], directive: "files" };

/** Completes the last of `words`, which may be ""; `words` is what follows the program's name. */
export async function complete(words: readonly string[], commands: CommandTable, client: Client): Promise<Completion> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const global = scanFlags(globalFlags, before, false);
  if (global.awaiting !== undefined) return NOTHING;
  const [name, ...rest] = global.args;
  if (name === "help") return completeIn(commands, {}, rest, current, client);
  return completeIn(commands, globalFlags, before, current, client);
}

/** Completes `words`, which were typed after the name of the group that `table` belongs to. */
async function completeIn(
  table: CommandTable,
  flags: FlagTable,
  words: readonly string[],
  current: string,
  client: Client,
): Promise<Completion> {
  const { args } = scanFlags(flags, words, false);
  const [name, ...rest] = args;
  if (name === undefined) return current.startsWith("-") ? offerFlags(flags, current) : offerCommands(table, current);
  const loaded: LoadedCommand | undefined = await findCommand(table, name)?.load();
  if (loaded === undefined) return NOTHING;
  return "group" in loaded
    ? completeIn(loaded.group.commands, {}, rest, current, client)
    : completeCommand(loaded.command, rest, current, client);
}

async function completeCommand(
  command: Command,
  words: readonly string[],
  current: string,
  client: Client,
): Promise<Completion> {
  const interspersed = command.interspersed ?? true;
  const { args, awaiting, flagsEnded } = scanFlags(command.flags, words, interspersed);
  if (awaiting !== undefined) return completeValue(awaiting, "", current, client);
  if (current.startsWith("-") && !flagsEnded) {
    const [, name = "", value] = /^--([^=]+)=(.*)$/s.exec(current) ?? [];
    if (value === undefined) return offerFlags(command.flags, current);
    return completeValue(name, `--${name}=`, value, client);
  }
  const { offers } = command;
  const kind = offers === "nothing" ? undefined : argumentKind(command.usage, args.length);
  return kind === undefined ? NOTHING : completeKind(kind, current, client, offers);
}

interface Scanned {
  readonly args: readonly string[];
  /** Name of the flag whose value comes next. */
  readonly awaiting: string | undefined;
  /** Whether words with a dash are arguments from here on. */
  readonly flagsEnded: boolean;
}

/** Applies the rules of `parseFlags` to a line that is incomplete and may be wrong. */
function scanFlags(table: FlagTable, words: readonly string[], interspersed: boolean): Scanned {
  const shorts = new Map(Object.entries(table).map(([name, flag]) => [flag.short ?? "", name]));
  const args: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--") return { args: [...args, ...words.slice(at + 1)], awaiting: undefined, flagsEnded: true };
    if (!word.startsWith("-") || word === "-") {
      if (!interspersed) return { args: [...args, ...words.slice(at)], awaiting: undefined, flagsEnded: true };
      args.push(word);
      continue;
    }
    const name = word.startsWith("--") ? longName(table, word) : lastShort(table, shorts, word);
    if (name === undefined) continue;
    if (at + 1 === words.length) return { args, awaiting: table[name]?.aliasOf ?? name, flagsEnded: false };
    at++;
  }
  return { args, awaiting: undefined, flagsEnded: false };
}

/** Returns the flag's name if its value is the next word. */
function longName(table: FlagTable, word: string): string | undefined {
  const name = word.slice(2);
  return wantsValue(Object.hasOwn(table, name) ? table[name] : undefined) ? name : undefined;
}

/**
 * Returns the flag whose value is the next word. "-it" is two switches; a flag with a value takes the rest of the word,
 * if there is any.
 */
function lastShort(table: FlagTable, shorts: ReadonlyMap<string, string>, word: string): string | undefined {
  for (let at = 1; at < word.length; at++) {
    const name = shorts.get(word.charAt(at));
    if (name !== undefined && wantsValue(table[name])) return at + 1 === word.length ? name : undefined;
  }
  return undefined;
}

function wantsValue(flag: Flag<unknown> | undefined): boolean {
  return flag !== undefined && flag.implicit === undefined;
}

function matching(candidates: readonly Candidate[], prefix: string): Completion {
  return { candidates: candidates.filter(({ word }) => word.startsWith(prefix)) };
}

function offerCommands(table: CommandTable, prefix: string): Completion {
  const shown = Object.entries(table).filter(([, { hidden }]) => hidden !== true);
  return matching(
    shown.map(([word, { summary }]) => ({ word, help: summary })),
    prefix,
  );
}

function offerFlags(table: FlagTable, prefix: string): Completion {
  const shown = Object.entries(table).filter(([, { hidden }]) => hidden !== true);
  const candidates = shown.map(([name, flag]) => ({ word: `--${name}`, help: flag.help.split("\n")[0] ?? "" }));
  if (!Object.hasOwn(table, "help")) candidates.push({ word: "--help", help: "Print usage" });
  return matching(
    candidates.sort((a, b) => (a.word < b.word ? -1 : 1)),
    prefix,
  );
}

/** What a word names. */
type Kind =
  | "CONTAINER"
  | "IMAGE"
  | "MACHINE"
  | "NETWORK"
  | "VOLUME"
  | "OBJECT"
  | "PATH"
  | "CONTAINER:PATH"
  | "VOLUME:PATH"
  | "SHELL";

/** Returns what argument number `index` names, according to the command's usage line. */
function argumentKind(usage: string, index: number): Kind | undefined {
  const line = usage.split("\n")[0] ?? "";
  const words = line.split(" ").filter((word) => word !== "[OPTIONS]");
  const last = words.at(-1) ?? "";
  const word = words[index] ?? (last.includes("...") ? last : "");
  const name = word.replace(/^\[/, "");
  if (/^(SOURCE_|TARGET_)?IMAGE\b/.test(name) || name.startsWith("REPOSITORY")) return "IMAGE";
  if (line.includes("CONTAINER:SRC_PATH")) return "CONTAINER:PATH";
  if (/^NAME\|ID/.test(name)) return "OBJECT";
  if (/^file\|/.test(name)) return "PATH";
  const known = /^(CONTAINER|MACHINE|NETWORK|VOLUME|SHELL)(\.\.\.)?\]?$/.exec(name)?.[1];
  return known as Kind | undefined;
}

/** What the values of flags are, by the flag's name. */
export const FLAG_VALUES: Readonly<Record<string, Kind | readonly string[]>> = {
  cgroupns: ["host", "private"],
  cidfile: "PATH",
  device: "PATH",
  "env-file": "PATH",
  format: ["json", "table"],
  input: "PATH",
  "label-file": "PATH",
  link: "CONTAINER",
  network: "NETWORK",
  output: "PATH",
  pull: ["always", "missing", "never"],
  restart: ["always", "no", "on-failure", "unless-stopped"],
  signal: ["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"],
  "stop-signal": ["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"],
  type: ["container", "image", "network", "volume"],
  volume: "VOLUME:PATH",
  "volumes-from": "CONTAINER",
};

/** Completes a flag's value; `before` is the part of the word that precedes the value. */
async function completeValue(flag: string, before: string, prefix: string, client: Client): Promise<Completion> {
  const values = Object.hasOwn(FLAG_VALUES, flag) ? FLAG_VALUES[flag] : undefined;
  if (values === undefined) return NOTHING;
  const { candidates, ...rest } =
    typeof values === "string"
      ? await completeKind(values, prefix, client)
      : matching(
          values.map((word) => ({ word })),
          prefix,
        );
  return { candidates: candidates.map(({ word }) => ({ word: before + word })), ...rest };
}

async function completeKind(
  kind: Kind,
  prefix: string,
  client: Client,
  state?: Command["offers"],
): Promise<Completion> {
  if (kind === "PATH") return FILES;
  if (kind === "SHELL")
    return matching(
      ["bash", "fish", "zsh"].map((word) => ({ word })),
      prefix,
    );
  if (kind === "VOLUME:PATH" && prefix.includes(":")) return NOTHING; // a path in the container
  if (kind === "CONTAINER:PATH" || kind === "VOLUME:PATH") {
    if (prefix.includes(":") || /^[./~]/.test(prefix)) return FILES;
    const what = kind === "VOLUME:PATH" ? "VOLUME" : "CONTAINER";
    const names = (await listNames(what, client)).map((name) => ({ word: `${name}:` }));
    const { candidates } = matching(names, prefix);
    return candidates.length === 0 ? FILES : { candidates, directive: "nospace" };
  }
  const kinds = kind === "OBJECT" ? (["CONTAINER", "IMAGE", "NETWORK", "VOLUME"] as const) : ([kind] as const);
  const names = (await Promise.all(kinds.map((one) => listNames(one, client, state)))).flat();
  return matching(
    [...new Set(names)].map((word) => ({ word })),
    prefix,
  );
}

const STATES = { nothing: [], running: ["running"], stopped: ["created", "exited"], paused: ["paused"] } as const;

/** Lists names that the daemon knows. Without a daemon there is nothing to offer and nobody to tell. */
async function listNames(
  kind: "CONTAINER" | "IMAGE" | "MACHINE" | "NETWORK" | "VOLUME",
  client: Client,
  state?: Command["offers"],
): Promise<string[]> {
  try {
    switch (kind) {
      case "CONTAINER":
      case "MACHINE": {
        const filters = JSON.stringify({
          ...(state && { status: Object.fromEntries(STATES[state].map((one) => [one, true])) }),
          ...(kind === "MACHINE" && { runtime: { machine: true } }),
        });
        const query = encodeQuery({ all: "1", filters });
        const containers = await client.get<{ Names?: string[] | null }[]>(`/containers/json${query}`);
        return containers.flatMap(({ Names }) => (Names ?? []).slice(0, 1).map((name) => name.replace(/^\//, "")));
      }
      case "IMAGE": {
        const images = await client.get<{ RepoTags?: string[] | null }[]>("/images/json");
        return images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => name !== "<none>:<none>");
      }
      case "NETWORK":
        return (await client.get<{ Name: string }[]>("/networks")).map(({ Name }) => Name);
      case "VOLUME":
        return ((await client.get<{ Volumes?: { Name: string }[] | null }>("/volumes")).Volumes ?? []).map(
          ({ Name }) => Name,
        );
    }
  } catch {
    return [];
  }
}
