import { formatDuration } from "../../base/duration.ts";
import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { formatRfc3339 } from "../format/time.ts";
import { ellipsis, formatSize } from "../format/units.ts";
import { encodeName } from "../http/client.ts";
import { stdout } from "../output.ts";

const flags = {
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  human: boolFlag("Print sizes and dates to be read by people", { short: "H", initial: true }),
  "no-trunc": boolFlag("Do not shorten"),
  quiet: boolFlag("Show IDs only", { short: "q" }),
};

export const command = defineCommand({
  name: "history",
  usage: "[OPTIONS] IMAGE",
  summary: "Show the history of an image",
  flags,
  args: { min: 1, max: 1 },
  run,
});

/** The API's HistoryResponseItem, with the fields that are shown. */
interface Layer {
  readonly Id: string;
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Size: number;
  readonly Comment: string;
}

const CREATED_BY_MAX_CHARS = 45;

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const { human, quiet } = values;
  const layers = await client.get<Layer[]>(`/images/${encodeName(args[0] ?? "")}/history`);
  const created = human ? "{{.CreatedSince}}" : "{{.CreatedAt}}";
  const table = quiet ? "{{.ID}}" : `table {{.ID}}\t${created}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`;
  const format = values.format === "" || values.format === "table" ? table : values.format;
  const columns = historyColumns(human, values["no-trunc"], Date.now());
  await stdout.text(renderRows(layers, columns, format, { type: "*image.historyContext" }));
  return 0;
}

function historyColumns(human: boolean, whole: boolean, nowMs: number): Columns<Layer> {
  return {
    Comment: { heading: "COMMENT", value: ({ Comment }) => Comment },
    CreatedAt: { heading: "CREATED AT", value: ({ Created }) => formatRfc3339(Created) },
    CreatedBy: {
      heading: "CREATED BY",
      value: ({ CreatedBy }) => {
        const line = CreatedBy.replaceAll("\t", " ");
        return whole ? line : ellipsis(line, CREATED_BY_MAX_CHARS);
      },
    },
    CreatedSince: {
      heading: "CREATED",
      value: ({ Created }) => (human ? `${formatDuration(nowMs - Created * 1000)} ago` : formatRfc3339(Created)),
    },
    ID: { heading: "IMAGE", value: ({ Id }) => (whole ? Id : shortId(Id)) },
    Size: { heading: "SIZE", value: ({ Size }) => (human ? formatSize(Size, 3) : String(Size)) },
  };
}
