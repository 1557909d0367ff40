/** Writes docs/commands.md: every command with its flags, from the flag tables of the command line and the daemon. */
import { SETTINGS } from "../src/api/config/settings.ts";
import type { Command, CommandTable } from "../src/cli/command.ts";
import { COMMANDS } from "../src/cli/commands.ts";
import type { FlagTable } from "../src/cli/flags.ts";
import { globalFlags } from "../src/cli/global-flags.ts";

interface Documented {
  /** The command's names, beginning with the one outside of groups. */
  readonly names: string[];
  readonly command: Command;
}

export async function commandsReference(): Promise<string> {
  const documented = new Map<Command["run"], Documented>();
  await collect(COMMANDS, "", documented);
  const commands = [...documented.values()].sort((a, b) => (titleOf(a) < titleOf(b) ? -1 : 1));
  return `${[
    "# Commands",
    "Written by `npm run generate` from the tables that the flags are parsed with. The manual pages have the same.",
    "## Options before the command",
    optionTable(globalFlags),
    ...commands.flatMap(describe),
    "## lighter daemon",
    "Each option is also a key of `daemon.json`, where lists have their name in the plural. See [daemon.md](daemon.md).",
    table(
      Object.entries(SETTINGS).map(([key, { kind, help, flag = key, short, reloads }]) => [
        optionNames(flag, short, kind.value ?? ""),
        `${help}${reloads === true ? " (SIGHUP makes a new value count)" : ""}`,
      ]),
    ),
  ].join("\n\n")}\n`;
}

async function collect(commands: CommandTable, before: string, found: Map<Command["run"], Documented>): Promise<void> {
  for (const [name, { load, hidden }] of Object.entries(commands)) {
    if (hidden || name === "daemon") continue;
    const loaded = await load();
    if ("group" in loaded) {
      await collect(loaded.group.commands, `${before}${name} `, found);
      continue;
    }
    const { command } = loaded;
    const known = found.get(command.run);
    if (known === undefined) found.set(command.run, { names: [before + name], command });
    else known.names.push(before + name);
  }
}

/** The shortest name: "ps" out of "container ls" and "ps". */
function titleOf({ names }: Documented): string {
  const words = (name: string) => name.split(" ").length;
  return [...names].sort((a, b) => words(a) - words(b))[0]!;
}

function describe(documented: Documented): string[] {
  const { command, names } = documented;
  const title = titleOf(documented);
  const others = names.filter((name) => name !== title).map((name) => `\`lighter ${name}\``);
  return [
    `## lighter ${title}`,
    `\`lighter ${title} ${command.usage}\`: ${markdown(command.summary)}.`,
    ...(others.length === 0 ? [] : [`Also called ${others.join(", ")}.`]),
    ...(command.details === undefined ? [] : [`\`\`\`text\n${command.details}\n\`\`\``]),
    ...(Object.keys(command.flags).length === 0 ? [] : [optionTable(command.flags)]),
  ];
}

function optionTable(flags: FlagTable): string {
  return table(
    Object.entries(flags)
      .filter(([, { hidden }]) => hidden !== true)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { short, type, help, shown }]) => [
        optionNames(name, short, type),
        shown === undefined ? help : `${help} (default ${shown})`,
      ]),
  );
}

function optionNames(name: string, short: string | undefined, value: string): string {
  const names = `${short === undefined ? "" : `-${short}, `}--${name}`;
  return `\`${names}${value === "" ? "" : ` ${value}`}\``;
}

function table(rows: readonly (readonly [option: string, help: string])[]): string {
  return ["| option | |", "| --- | --- |", ...rows.map(([option, help]) => `| ${option} | ${markdown(help)} |`)].join(
    "\n",
  );
}

/** The text on one line, with Markdown's special characters escaped. */
function markdown(text: string): string {
  return text.replaceAll("\n", " ").replace(/[|<>*_]/g, (char) => `\\${char}`);
}
