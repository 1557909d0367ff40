import { type Context, defineCommand } from "../command.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { compareNatural } from "../format/natural-order.ts";
import { renderRows } from "../format/table.ts";
import { type Volume, volumeColumns } from "../format/volume-row.ts";
import { encodeQuery } from "../http/client.ts";
import { configuredFormat } from "../login/configured.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

const flags = {
  filter: listFlag("Show only volumes that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  quiet: boolFlag("Show names only", { short: "q" }),
};

export const command = defineCommand({
  name: "volume ls",
  usage: "[OPTIONS]",
  summary: "List volumes",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const query = encodeQuery({ filters: encodeFilters(values.filter) });
  const { Volumes } = await client.get<{ Volumes?: Volume[] | null }>(`/volumes${query}`);
  const volumes = (Volumes ?? []).sort((a, b) => compareNatural(a.Name, b.Name));
  const given = values.quiet ? values.format : await configuredFormat(values.format, "volumesFormat");
  await stdout.text(
    renderRows(volumes, volumeColumns, chooseFormat(given, values.quiet), { type: "*formatter.volumeContext" }),
  );
  return 0;
}

function chooseFormat(format: string, quiet: boolean): string {
  if (format === "raw") return quiet ? "name: {{.Name}}" : "name: {{.Name}}\ndriver: {{.Driver}}\n";
  if (format !== "" && format !== "table") return format;
  return quiet ? "{{.Name}}" : "table {{.Driver}}\t{{.Name}}";
}
