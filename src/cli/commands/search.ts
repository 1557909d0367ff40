import { splitDomain } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, intFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { ellipsis } from "../format/units.ts";
import { encodeQuery, parseJson } from "../http/client.ts";
import { serverOf } from "../login/credentials.ts";
import { requestWithCredentials } from "../login/registry-request.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

const flags = {
  filter: listFlag("Show only images that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  limit: intFlag("Show this many results at most"),
  "no-trunc": boolFlag("Do not shorten"),
};

export const command = defineCommand({
  name: "search",
  usage: "[OPTIONS] TERM",
  summary: "Search a registry for images, Docker Hub unless TERM begins with another",
  flags,
  args: { min: 1, max: 1 },
  run,
});

/** The API's SearchResult, with the fields that are shown. */
interface Found {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
  readonly is_automated?: boolean;
}

const DESCRIPTION_MAX_CHARS = 45;
const TABLE = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [term = ""] = args;
  const query = encodeQuery({
    filters: encodeFilters(values.filter),
    limit: values.limit > 0 ? String(values.limit) : undefined,
    term,
  });
  const request = { method: "GET", path: `/images/search${query}` } as const;
  const response = await requestWithCredentials(client, request, serverOf(splitDomain(term)), "search");
  const found = parseJson<Found[]>(await response.text());
  const format = values.format === "" || values.format === "table" ? TABLE : values.format;
  const isJson = /^(?:json|\{\{ *json \. *\}\})$/.test(format);
  await stdout.text(
    renderRows(found, foundColumns(values["no-trunc"], isJson), format, { type: "*registry.searchContext" }),
  );
  return 0;
}

function foundColumns(whole: boolean, isJson: boolean): Columns<Found> {
  const mark = (value = false) => (isJson ? String(value) : value ? "[OK]" : "");
  return {
    Description: {
      heading: "DESCRIPTION",
      value: ({ description }) => {
        const line = description.replaceAll("\n", " ").replaceAll("\r", " ");
        return whole ? line : ellipsis(line, DESCRIPTION_MAX_CHARS);
      },
    },
    IsAutomated: { heading: "AUTOMATED", value: (found) => mark(found.is_automated) },
    IsOfficial: { heading: "OFFICIAL", value: (found) => mark(found.is_official) },
    Name: { heading: "NAME", value: ({ name }) => name },
    StarCount: { heading: "STARS", value: ({ star_count }) => String(star_count) },
  };
}
