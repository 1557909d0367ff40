import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { compareNatural } from "../format/natural-order.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { formatTimestamp } from "../format/time.ts";
import { encodeQuery } from "../http/client.ts";
import { configuredFormat } from "../login/configured.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";
import { labelColumns } from "../values/labels.ts";

const flags = {
  filter: listFlag("Show only networks that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  "no-trunc": boolFlag("Do not shorten"),
  quiet: boolFlag("Show IDs only", { short: "q" }),
};

export const command = defineCommand({
  name: "network ls",
  usage: "[OPTIONS]",
  summary: "List networks",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** The API's Network, with the fields that are shown. */
interface Network {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly Created: string;
  readonly EnableIPv6: boolean;
  readonly Internal: boolean;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const networks = await client.get<Network[]>(`/networks${encodeQuery({ filters: encodeFilters(values.filter) })}`);
  networks.sort((a, b) => compareNatural(a.Name, b.Name));
  const format = chooseFormat(
    values.quiet ? values.format : await configuredFormat(values.format, "networksFormat"),
    values.quiet,
  );
  await stdout.text(
    renderRows(networks, networkColumns(values["no-trunc"]), format, { type: "*network.networkContext" }),
  );
  return 0;
}

function chooseFormat(format: string, quiet: boolean): string {
  if (format === "raw")
    return quiet
      ? "network_id: {{.ID}}"
      : "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n";
  if (format !== "" && format !== "table") return format;
  return quiet ? "{{.ID}}" : "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
}

function networkColumns(whole: boolean): Columns<Network> {
  return {
    CreatedAt: { heading: "CREATED AT", value: ({ Created }) => formatTimestamp(Created) },
    Driver: { heading: "DRIVER", value: ({ Driver }) => Driver },
    ID: { heading: "NETWORK ID", value: ({ Id }) => (whole ? Id : shortId(Id)) },
    IPv6: { heading: "IPV6", value: ({ EnableIPv6 }) => String(EnableIPv6) },
    Internal: { heading: "INTERNAL", value: ({ Internal }) => String(Internal) },
    ...labelColumns,
    Name: { heading: "NAME", value: ({ Name }) => Name },
    Scope: { heading: "SCOPE", value: ({ Scope }) => Scope },
  };
}
