import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { alignColumns } from "../format/table.ts";
import { encodeName, encodeQuery } from "../http/client.ts";
import { stdout } from "../output.ts";

const flags = {
  sort: stringFlag("Without a container: what comes first, by cpu, memory, io, network, pids or name", {
    initial: "cpu",
  }),
};

export const command = defineCommand({
  name: "top",
  usage: "[--sort BY] | CONTAINER [ps OPTIONS]",
  summary: "Display the running processes of a container, or what all containers and machines use",
  flags,
  args: { min: 0 },
  offers: "running",
  interspersed: false,
  run,
});

interface Top {
  readonly Titles: readonly string[];
  readonly Processes?: readonly (readonly string[])[] | null;
}

const LAYOUT = { min: 20, gap: 3 };

async function run(context: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const { client } = context;
  const [name, ...psArgs] = args;
  if (name === undefined) {
    const [{ topOfAll }, { isSort, SORTS }] = await Promise.all([
      import("../top/top-of-all.ts"),
      import("../top/page.ts"),
    ]);
    if (isSort(values.sort)) return await topOfAll(context, values.sort);
    throw new CliError(`there is no sorting by "${values.sort}", but by ${Object.keys(SORTS).join(", ")}`);
  }
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
