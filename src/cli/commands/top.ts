import { type Context, defineCommand } from "../command.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { alignColumns } from "../format/table.ts";
import { encodeName, encodeQuery } from "../http/client.ts";
import { stdout } from "../output.ts";

export const command = defineCommand({
  name: "top",
  usage: "CONTAINER [ps OPTIONS]",
  summary: "Display the running processes of a container",
  flags: {},
  args: { min: 1 },
  offers: "running",
  interspersed: false,
  run,
});

interface Top {
  readonly Titles: readonly string[];
  readonly Processes?: readonly (readonly string[])[] | null;
}

const LAYOUT = { min: 20, gap: 3 };

async function run({ client }: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  const [name = "", ...psArgs] = args;
  const query = encodeQuery({ ps_args: psArgs.length === 0 ? undefined : psArgs.join(" ") });
  const { Titles, Processes } = await client.get<Top>(`/containers/${encodeName(name)}/top${query}`);
  const rows = [Titles, ...(Processes ?? [])];
  await stdout.text(
    alignColumns(
      rows.map((row) => row.join("\t")),
      LAYOUT,
    ),
  );
  return 0;
}
