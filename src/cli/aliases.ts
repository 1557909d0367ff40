import type { Command } from "./command.ts";
import type { CommandTable } from "./command-table.ts";
import { COMMANDS } from "./commands.ts";

/** Every name of a command, those in groups first: "container ls", "container list", "ps". Loads all commands. */
export async function namesOf(command: Command): Promise<string[]> {
  const names = await namesIn(COMMANDS, "", command.run);
  const depth = (name: string) => name.split(" ").length;
  return names.sort((a, b) => depth(b) - depth(a));
}

async function namesIn(table: CommandTable, before: string, run: Command["run"]): Promise<string[]> {
  const found: string[] = [];
  for (const [name, { load }] of Object.entries(table)) {
    const loaded = await load();
    if ("group" in loaded) found.push(...(await namesIn(loaded.group.commands, `${before}${name} `, run)));
    else if (loaded.command.run === run) found.push(before + name);
  }
  return found;
}
