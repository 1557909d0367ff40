/** What a command is (a table of flags, texts for `--help`, a function), and how one is parsed and run. */
import { CliError, seeHelp } from "./exit.ts";
import { type FlagTable, formatFlags, type ParsedFlags, parseFlags } from "./flags.ts";
import type { Client } from "./http/client.ts";
import { printError, stdout } from "./output.ts";

/**
 * What every command receives: a client that has not connected yet, the global flags, and the table of all commands.
 */
export interface Context {
  readonly client: Client;
  readonly debug: boolean;
  readonly commands: CommandTable;
  /**
   * For work that is long on the small engine: becomes Bun's program, which begins anew. Returns the exit code if that fails; undefined
   * where Bun runs already. Nothing may have been printed, nor read from stdin.
   */
  readonly becomeBun?: () => number;
}

export interface Command<T extends FlagTable = FlagTable> {
  readonly name: string;
  /** Text after the command's name in the usage line. */
  readonly usage: string;
  readonly summary: string;
  /** Further text of `--help`, after the summary. */
  readonly details?: string;
  readonly flags: T;
  /** Number of positional arguments; any number if `max` is undefined. */
  readonly args: { readonly min: number; readonly max?: number };
  /** Containers that a shell offers as arguments; all if undefined. "nothing" if the argument is a new name. */
  readonly offers?: "running" | "stopped" | "paused" | "nothing";
  /**
   * Whether flags may follow positional arguments (default true). If false, the first positional argument ends the
   * flags.
   */
  readonly interspersed?: boolean;
  /** Changes the arguments before they are parsed. */
  readonly prepare?: (argv: readonly string[]) => readonly string[];
  /** Returns the exit code. */
  readonly run: (context: Context, parsed: ParsedFlags<T>) => Promise<number>;
}

// biome-ignore lint/suspicious/noExplicitAny: each command has its own flag table
type AnyCommand = Command<any>;

/** Exports of a command's module. */
export type LoadedCommand = { readonly command: AnyCommand } | { readonly group: CommandGroup };

export interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<LoadedCommand>;
  /** Marks another spelling of the command before it, which `--help` does not show. */
  readonly hidden?: true;
}

/** Commands in the order of `--help`. */
export type CommandTable = Readonly<Record<string, CommandEntry>>;

export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: CommandTable;
}

/** Returns `command`; the call infers the type of its flag table for `run`. */
export function defineCommand<T extends FlagTable>(command: Command<T>): Command<T> {
  return command;
}

/** Parses `argv` (without the command's name) and runs the command, or prints its help. */
export async function runCommand<T extends FlagTable>(
  command: Command<T>,
  context: Context,
  argv: readonly string[],
): Promise<number> {
  const given = command.prepare?.(argv) ?? argv;
  const parsed = parseFlags(command.name, command.flags, given, command.interspersed ?? true);
  if (parsed.help !== undefined) {
    if (parsed.help === "short-help") await printError("Flag shorthand -h has been deprecated, please use --help");
    await stdout.text(formatHelp(command, await namesOf(command, context.commands)));
    return 0;
  }
  checkArgs(command, parsed.args.length);
  return command.run(context, parsed);
}

function checkArgs<T extends FlagTable>(command: Command<T>, count: number): void {
  const { min, max } = command.args;
  if (count >= min && (max === undefined || count <= max)) return;
  const many = (n: number) => `${n} argument${n === 1 ? "" : "s"}`;
  const wanted =
    max === 0
      ? "accepts no arguments"
      : min === max
        ? `requires exactly ${many(min)}`
        : min > 0 && max !== undefined
          ? `requires at least ${min} and at most ${many(max)}`
          : count < min
            ? `requires at least ${many(min)}`
            : `requires at most ${many(max ?? 0)}`;
  throw new CliError(
    `"lighter ${command.name}" ${wanted}.\n${seeHelp(command.name)}\n\n${usageLine(command)}\n\n${command.summary}`,
  );
}

function usageLine<T extends FlagTable>(command: Command<T>): string {
  return `Usage:  lighter ${command.name} ${command.usage}`;
}

function formatHelp<T extends FlagTable>(command: Command<T>, names: readonly string[]): string {
  const options = Object.keys(command.flags).length === 0 ? "" : `\nOptions:\n${formatFlags(command.flags)}\n`;
  const aliases = names.length < 2 ? "" : `\nAliases:\n  ${names.map((name) => `lighter ${name}`).join(", ")}\n`;
  const details = command.details === undefined ? "" : `\n${command.details}\n`;
  return `\n${usageLine(command)}\n\n${command.summary}\n${details}${aliases}${options}`;
}

/**
 * Returns every name of a command, those in groups first: "container ls", "container list", "ps". Loads all commands.
 */
async function namesOf(command: AnyCommand, commands: CommandTable): Promise<string[]> {
  const names = await namesIn(commands, "", command.run);
  const depth = (name: string) => name.split(" ").length;
  return names.sort((a, b) => depth(b) - depth(a));
}

async function namesIn(table: CommandTable, before: string, run: AnyCommand["run"]): Promise<string[]> {
  const found: string[] = [];
  for (const [name, { load }] of Object.entries(table)) {
    const loaded = await load();
    if ("group" in loaded) found.push(...(await namesIn(loaded.group.commands, `${before}${name} `, run)));
    else if (loaded.command.run === run) found.push(before + name);
  }
  return found;
}
