import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import type { ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { stdout } from "../output.ts";

const flags = {};

export const command = defineCommand({
  name: "diff",
  usage: "CONTAINER",
  summary: "Show which files of a container were changed (C), added (A) or deleted (D)",
  flags,
  args: { min: 1, max: 1 },
  run,
});

/** Letters by the API's number of a kind. */
const KINDS = ["C", "A", "D"];

interface Change {
  readonly Path: string;
  readonly Kind: number;
}

async function run({ client }: Context, { args }: ParsedFlags<typeof flags>): Promise<number> {
  const [name = ""] = args;
  if (name === "") throw new CliError("Container name cannot be empty");
  const changes = (await client.get<Change[] | null>(`/containers/${encodeName(name)}/changes`)) ?? [];
  await stdout.text(changes.map(({ Path, Kind }) => `${KINDS[Kind] ?? ""} ${Path}\n`).join(""));
  return 0;
}
