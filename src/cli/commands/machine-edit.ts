import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { type ParsedFlags, parseFlags, stringFlag } from "../flags.ts";
import { formatEditable, parseEdited } from "../machines/editable.ts";
import { inspectMachine } from "../machines/machine.ts";
import { command as rename } from "./rename.ts";
import { command as update } from "./update.ts";

const flags = { ...update.flags, name: stringFlag("New name of the machine") };

export const command = defineCommand({
  name: "machine edit",
  usage: "[OPTIONS] MACHINE",
  summary: "Change a machine's limits, restart policy or name",
  details: "Without options the settings are opened in $VISUAL or $EDITOR.",
  flags,
  args: { min: 1, max: 1 },
  run,
});

async function run(context: Context, parsed: ParsedFlags<typeof flags>): Promise<number> {
  const machine = await inspectMachine(context.client, parsed.args[0] ?? "");
  const wanted =
    parsed.given.size > 0
      ? parsed
      : parseFlags(command.name, flags, parseEdited(machine, edit(formatEditable(machine))), true);
  const { given, values } = withSwap(wanted);
  if ([...given].some((name) => name !== "name")) await update.run(context, { values, given, args: [machine.Id] });
  if (given.has("name")) await rename.run(context, { values: {}, given: new Set(), args: [machine.Id, values.name] });
  return 0;
}

/** The limit of memory and swap follows that of memory, as at a creation. */
function withSwap({ values, given, args }: ParsedFlags<typeof flags>): ParsedFlags<typeof flags> {
  if (!given.has("memory") || given.has("memory-swap") || values.memory <= 0) return { values, given, args };
  return { values: { ...values, "memory-swap": 2 * values.memory }, given, args };
}

/** Lets the user edit a text. @throws CliError if that fails */
function edit(text: string): string {
  const editor = process.env.VISUAL || process.env.EDITOR || "vi";
  const folder = mkdtempSync(join(tmpdir(), "lighter-edit-"));
  const path = join(folder, "machine");
  try {
    writeFileSync(path, text);
    // The variable is a command line.
    const { status } = spawnSync("/bin/sh", ["-c", `${editor} "$1"`, "sh", path], { stdio: "inherit" });
    if (status !== 0) throw new CliError(`nothing is changed: ${editor} failed`);
    return readFileSync(path, "utf8");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
