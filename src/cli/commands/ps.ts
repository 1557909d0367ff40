import { formatDuration } from "../../base/duration.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, intFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { formatPorts, type PortSummary } from "../format/ports.ts";
import { type Columns, renderRows, usesColumn } from "../format/table.ts";
import { formatLocalTime } from "../format/time.ts";
import { ellipsis, formatSize } from "../format/units.ts";
import { encodeQuery, type Query } from "../http/client.ts";
import { configuredFormat } from "../login/configured.ts";
import { printError, stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";
import { labelColumns } from "../values/labels.ts";

const flags = {
  all: boolFlag("Show all containers, not only running ones", { short: "a" }),
  filter: listFlag("Show only containers that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  last: intFlag("Show the last n containers created", { short: "n", initial: -1 }),
  latest: boolFlag("Show the last container created", { short: "l" }),
  "no-trunc": boolFlag("Do not shorten"),
  quiet: boolFlag("Show IDs only", { short: "q" }),
  size: boolFlag("Show the size of files", { short: "s" }),
};

export const command = defineCommand({
  name: "ps",
  usage: "[OPTIONS]",
  summary: "List containers",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** The API's ContainerSummary, with the fields that are shown. */
export interface Summary {
  readonly Id: string;
  readonly Names?: readonly string[] | null;
  readonly Image: string;
  readonly ImageID: string;
  readonly Command: string;
  readonly Created: number;
  readonly Ports?: readonly PortSummary[] | null;
  readonly SizeRw?: number;
  readonly SizeRootFs?: number;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly State: string;
  readonly Status: string;
  readonly Mounts?: readonly { Name?: string; Source?: string; Driver?: string }[] | null;
  readonly NetworkSettings?: { Networks?: Readonly<Record<string, unknown>> | null } | null;
}

const TABLE = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const RAW =
  "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n" +
  "state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\n" +
  "labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const { quiet, latest } = values;
  if (quiet && values.format !== "" && values.format !== "table" && values.format !== "raw")
    await printError("WARNING: Ignoring custom format, because both --format and --quiet are set.");
  const columns = summaryColumns(values["no-trunc"], Date.now());
  const format = chooseFormat(
    quiet ? values.format : await configuredFormat(values.format, "psFormat"),
    quiet,
    values.size,
  );
  const limit = latest ? 1 : values.last > 0 ? values.last : undefined;
  const query: Query = {
    all: values.all ? "1" : undefined,
    limit: limit === undefined ? undefined : String(limit),
    size: values.size || usesColumn(columns, format, "Size") ? "1" : undefined,
    filters: encodeFilters(values.filter),
  };
  const summaries = await client.get<Summary[]>(`/containers/json${encodeQuery(query)}`);
  await stdout.text(renderRows(summaries, columns, format));
  return 0;
}

function chooseFormat(format: string, quiet: boolean, size: boolean): string {
  if (format === "raw") return quiet ? "container_id: {{.ID}}" : RAW + (size ? "size: {{.Size}}\n" : "");
  if (quiet) return "{{.ID}}";
  if (format === "" || format === "table") return `table ${TABLE}${size ? "\t{{.Size}}" : ""}`;
  return format;
}

export function summaryColumns(whole: boolean, nowMs: number): Columns<Summary> {
  return {
    Command: { heading: "COMMAND", value: (row) => goQuote(whole ? row.Command : ellipsis(row.Command, 20)) },
    CreatedAt: { heading: "CREATED AT", value: (row) => formatLocalTime(row.Created) },
    ID: { heading: "CONTAINER ID", value: (row) => (whole ? row.Id : shortId(row.Id)) },
    Image: { heading: "IMAGE", value: (row) => imageName(row, whole) },
    ...labelColumns,
    LocalVolumes: {
      heading: "LOCAL VOLUMES",
      value: (row) => String((row.Mounts ?? []).filter((mount) => mount.Driver === "local").length),
    },
    Mounts: { heading: "MOUNTS", value: (row) => mounts(row, whole) },
    Names: { heading: "NAMES", value: (row) => names(row, whole) },
    Networks: { heading: "NETWORKS", value: (row) => Object.keys(row.NetworkSettings?.Networks ?? {}).join(",") },
    Ports: { heading: "PORTS", value: (row) => formatPorts(row.Ports ?? []) },
    RunningFor: { heading: "CREATED", value: (row) => `${formatDuration(nowMs - row.Created * 1000)} ago` },
    Size: { heading: "SIZE", value: size },
    State: { heading: "STATE", value: (row) => row.State },
    Status: { heading: "STATUS", value: (row) => row.Status },
  };
}

function imageName(row: Summary, whole: boolean): string {
  if (row.Image === "") return "<no image>";
  if (whole) return row.Image;
  const id = shortId(row.ImageID);
  if (id === shortId(row.Image)) return id;
  return row.Image.replace(/@[^@]*$/, ""); // a digest says little to a reader; a tag stays
}

function mounts(row: Summary, whole: boolean): string {
  return (row.Mounts ?? [])
    .map((mount) => mount.Name || mount.Source || "")
    .map((name) => (whole ? name : ellipsis(name, 15)))
    .join(",");
}

/** Formats the names; shortened, it is the container's own name without the aliases of links ("/other/alias"). */
function names(row: Summary, whole: boolean): string {
  const all = (row.Names ?? []).map((name) => name.replace(/^\//, ""));
  const own = whole ? undefined : all.find((name) => !name.includes("/"));
  return own ?? all.join(",");
}

function size(row: Summary): string {
  const written = formatSize(row.SizeRw ?? 0, 3);
  return (row.SizeRootFs ?? 0) > 0 ? `${written} (virtual ${formatSize(row.SizeRootFs ?? 0, 3)})` : written;
}
