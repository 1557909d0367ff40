import { type Context, defineCommand } from "../command.ts";
import { complete } from "../complete/completion.ts";
import { splitShellWords } from "../complete/shell-words.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { holdsControls } from "../format/harmless.ts";
import { Client } from "../http/client.ts";
import { stdout } from "../output.ts";

/** `__complete`, which the scripts of `completion` run. */
export const command = defineCommand({
  name: "__complete",
  usage: "SHELL WORD...",
  summary: "Print candidates for the last of the words",
  flags: {},
  args: { min: 1 },
  interspersed: false,
  run,
});

async function run({ client, commands }: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  const [shell, ...rest] = args;
  // Bash passes its line up to the cursor, the program's name first.
  const words = shell === "bash" ? splitShellWords(rest[0] ?? "").slice(1) : rest;
  // A key press must not start a daemon.
  const { startSocketPath: _, ...host } = client.host;
  const current = words.at(-1) ?? "";
  const { candidates, directive } = await complete(words, commands, new Client(host));
  const cut = shell === "bash" ? Math.max(current.lastIndexOf(":"), current.lastIndexOf("=")) + 1 : 0;
  const harmless = candidates.filter(({ word }) => !holdsControls(word)); // a shell would type them
  const lines = harmless.map(({ word, help = "" }) => word.slice(cut) + (help === "" ? "" : `\t${help}`));
  if (directive !== undefined) lines.push(`:${directive}`);
  await stdout.text(lines.map((line) => `${line}\n`).join(""));
  return 0;
}
