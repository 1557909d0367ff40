/** Commands by name: those of the program, or those of a group such as `image`. Each is loaded when it is needed. */
import {
  type CommandEntry,
  type CommandGroup,
  type CommandTable,
  type Context,
  type LoadedCommand,
  runCommand,
} from "./command.ts";
import { CliError } from "./exit.ts";
import { parseFlags } from "./flags.ts";
import { stderr, stdout } from "./output.ts";

export function findCommand(table: CommandTable, name: string): CommandEntry | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Runs a loaded command, or a command of a loaded group. */
export function runLoaded(loaded: LoadedCommand, context: Context, argv: readonly string[]): Promise<number> {
  return "group" in loaded ? runGroup(loaded.group, context, argv) : runCommand(loaded.command, context, argv);
}

async function runGroup(group: CommandGroup, context: Context, argv: readonly string[]): Promise<number> {
  const help = formatGroupHelp(group);
  let parsed: ReturnType<typeof parseFlags>;
  try {
    parsed = parseFlags(group.name, {}, argv, false);
  } catch (error) {
    if (error instanceof CliError) throw new CliError(`${error.message}\n${help}`, error.exitCode);
    throw error;
  }
  if (parsed.help !== undefined) {
    await stdout.text(help);
    return 0;
  }
  const [name, ...rest] = parsed.args;
  const entry = name === undefined ? undefined : findCommand(group.commands, name);
  if (entry === undefined) {
    const { ELSEWHERE } = await import("./elsewhere.ts");
    const instead = ELSEWHERE[`${group.name} ${name}`];
    if (instead !== undefined) throw new CliError(instead);
    await stderr.text(help);
    return name === undefined ? 0 : 1;
  }
  const loaded = await entry.load();
  if ("group" in loaded) return runGroup(loaded.group, context, rest);
  // The same command may have a shorter name of its own (`images`); errors and help use the name that was typed.
  return runCommand({ ...loaded.command, name: `${group.name} ${name}` }, context, rest);
}

/** Formats the lines of a "Commands:" section. */
export function formatCommands(table: CommandTable): string {
  const shown = Object.entries(table).filter(([, { hidden }]) => hidden !== true);
  const width = Math.max(...shown.map(([name]) => name.length)) + 3;
  return shown.map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`).join("\n");
}

function formatGroupHelp({ name, summary, commands }: CommandGroup): string {
  return `
Usage:  lighter ${name} COMMAND

${summary}

Commands:
${formatCommands(commands)}

Run 'lighter ${name} COMMAND --help' for more information on a command.
`;
}
