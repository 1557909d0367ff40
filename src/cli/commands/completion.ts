import { goQuote } from "../../base/go-escapes.ts";
import { type Context, defineCommand } from "../command.ts";
import { COMPLETION_SCRIPTS } from "../complete/completion-scripts.ts";
import { CliError } from "../exit.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { stdout } from "../output.ts";

export const command = defineCommand({
  name: "completion",
  usage: "SHELL",
  summary: "Print a script that completes words in a shell: bash, zsh or fish",
  details: `  bash: source <(lighter completion bash)                                    in ~/.bashrc
  zsh:  source <(lighter completion zsh)                                     in ~/.zshrc
  fish: lighter completion fish >~/.config/fish/completions/lighter.fish`,
  flags: {},
  args: { min: 1, max: 1 },
  run,
});

async function run(_context: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  const [shell = ""] = args;
  const script = Object.hasOwn(COMPLETION_SCRIPTS, shell) ? COMPLETION_SCRIPTS[shell] : undefined;
  if (script === undefined) throw new CliError(`no completion for ${goQuote(shell)}: there is bash, zsh and fish`);
  await stdout.text(script);
  return 0;
}
