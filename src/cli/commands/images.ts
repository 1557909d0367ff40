import { formatDuration } from "../../base/duration.ts";
import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { formatLocalTime } from "../format/time.ts";
import { formatSize } from "../format/units.ts";
import { encodeQuery } from "../http/client.ts";
import { configuredFormat } from "../login/configured.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

const flags = {
  all: boolFlag("Show intermediate images too", { short: "a" }),
  digests: boolFlag("Show digests"),
  filter: listFlag("Show only images that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  "no-trunc": boolFlag("Do not shorten"),
  quiet: boolFlag("Show IDs only", { short: "q" }),
};

export const command = defineCommand({
  name: "images",
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  summary: "List images",
  flags,
  args: { min: 0, max: 1 },
  run,
});

/** The API's ImageSummary, with the fields that are shown. */
export interface Summary {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
  readonly Created: number;
  readonly Size: number;
  readonly SharedSize?: number;
  readonly Containers?: number;
}

export interface Row {
  readonly image: Summary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

const NONE = "<none>";

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const filters = args[0] === undefined ? values.filter : [...values.filter, `reference=${args[0]}`];
  const query = { all: values.all ? "1" : undefined, filters: encodeFilters(filters) };
  const images = await client.get<Summary[]>(`/images/json${encodeQuery(query)}`);
  const format = chooseFormat(
    values.quiet ? values.format : await configuredFormat(values.format, "imagesFormat"),
    values.quiet,
    values.digests,
  );
  const digests = values.digests || format.includes(".Digest");
  const rows = images.flatMap((image) => imageRows(image, digests));
  const columns = imageColumns(values["no-trunc"], Date.now());
  await stdout.text(renderRows(rows, columns, format, { type: "*formatter.imageContext" }));
  return 0;
}

function chooseFormat(format: string, quiet: boolean, digests: boolean): string {
  if (format === "raw")
    return quiet
      ? "image_id: {{.ID}}"
      : `repository: {{.Repository}}\n{{if .Tag}}tag: {{.Tag}}\n{{end}}${digests ? "{{if .Digest}}digest: {{.Digest}}\n{{end}}" : ""}image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n`;
  if (format !== "" && format !== "table") return format;
  if (quiet) return "{{.ID}}";
  return `table {{.Repository}}\t{{.Tag}}\t${digests ? "{{.Digest}}\t" : ""}{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}`;
}

/** Makes one row for each name; with `digests`, one for each pair of name and digest. */
export function imageRows(image: Summary, digests: boolean): Row[] {
  const tags = new Map<string, string[]>();
  const repoDigests = new Map<string, string[]>();
  const put = (map: Map<string, string[]>, key: string, value: string) =>
    map.set(key, [...(map.get(key) ?? []), value]);
  for (const text of image.RepoTags ?? []) {
    const colon = text.lastIndexOf(":");
    if (text !== `${NONE}:${NONE}`) put(tags, text.slice(0, colon), text.slice(colon + 1));
  }
  for (const text of image.RepoDigests ?? []) {
    const at = text.lastIndexOf("@");
    if (text !== `${NONE}@${NONE}`) put(repoDigests, text.slice(0, at), text.slice(at + 1));
  }
  const rows: Row[] = [];
  for (const repository of new Set([...tags.keys(), ...repoDigests.keys()])) {
    const known = repoDigests.get(repository) ?? [];
    for (const tag of tags.get(repository) ?? [NONE])
      for (const digest of digests && known.length > 0 ? known : [NONE]) rows.push({ image, repository, tag, digest });
  }
  return rows.length > 0 ? rows : [{ image, repository: NONE, tag: NONE, digest: NONE }];
}

export function imageColumns(whole: boolean, nowMs: number): Columns<Row> {
  const countOr = (value: number | undefined) => (value === undefined || value === -1 ? "N/A" : String(value));
  const sizeOr = (value: number | undefined) => (value === undefined || value === -1 ? "N/A" : formatSize(value, 3));
  return {
    Containers: { heading: "CONTAINERS", value: ({ image }) => countOr(image.Containers) },
    CreatedAt: { heading: "CREATED AT", value: ({ image }) => formatLocalTime(image.Created) },
    CreatedSince: {
      heading: "CREATED",
      // Reproducible builds give images no date.
      value: ({ image }) => (image.Created <= 0 ? "N/A" : `${formatDuration(nowMs - image.Created * 1000)} ago`),
    },
    Digest: { heading: "DIGEST", value: (row) => row.digest },
    ID: {
      heading: "IMAGE ID",
      value: ({ image }) => (whole ? image.Id : shortId(image.Id)),
    },
    Repository: { heading: "REPOSITORY", value: (row) => row.repository },
    SharedSize: { heading: "SHARED SIZE", value: ({ image }) => sizeOr(image.SharedSize) },
    Size: { heading: "SIZE", value: ({ image }) => formatSize(image.Size, 3) },
    Tag: { heading: "TAG", value: (row) => row.tag },
    UniqueSize: {
      heading: "UNIQUE SIZE",
      value: ({ image }) =>
        image.SharedSize === undefined || image.SharedSize === -1 ? "N/A" : sizeOr(image.Size - image.SharedSize),
    },
    VirtualSize: { heading: "SIZE", value: ({ image }) => formatSize(image.Size) },
  };
}
