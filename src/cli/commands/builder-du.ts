import { type Context, defineCommand } from "../command.ts";
import { boolFlag, listFlag, type ParsedFlags } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { formatTimestamp } from "../format/time.ts";
import { formatSize } from "../format/units.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

const flags = {
  filter: listFlag("Show only what matches (type=regular, shared, ...)", { type: "filter", item: parseFilter }),
  verbose: boolFlag("Show all there is to know", { short: "v" }),
};

export const command = defineCommand({
  name: "builder du",
  usage: "[OPTIONS]",
  summary: "Show what builds have left",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** The API's BuildCache. */
interface CacheEntry {
  readonly ID: string;
  readonly Parents?: readonly string[];
  readonly Type: string;
  readonly Description: string;
  readonly InUse: boolean;
  readonly Shared: boolean;
  readonly Size: number;
  readonly CreatedAt: string;
  readonly LastUsedAt: string;
  readonly UsageCount: number;
}

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const query = { filters: values.filter.length === 0 ? undefined : encodeFilters(values.filter) };
  const entries = await client.get<CacheEntry[]>("/lighter/builds/cache", query);
  const text = values.verbose ? entries.map(formatEntry).join("\n") : renderRows(entries, columns, TABLE);
  await stdout.text(text + formatTotals(entries));
  return 0;
}

const TABLE = "table {{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastAccessed}}";

const columns: Columns<CacheEntry> = {
  ID: { heading: "ID", value: ({ ID }) => ID },
  LastAccessed: { heading: "LAST ACCESSED", value: ({ LastUsedAt }) => formatTimestamp(LastUsedAt) },
  Reclaimable: { heading: "RECLAIMABLE", value: ({ InUse }) => String(!InUse) },
  Size: { heading: "SIZE", value: ({ Size, Shared }) => formatSize(Size) + (Shared ? "*" : "") },
};

function formatEntry(entry: CacheEntry): string {
  const lines: [name: string, value: string][] = [
    ["ID", entry.ID],
    ...(entry.Parents === undefined ? [] : [["Parents", entry.Parents.join(", ")] satisfies [string, string]]),
    ["Created at", formatTimestamp(entry.CreatedAt)],
    ["Reclaimable", String(!entry.InUse)],
    ["Shared", String(entry.Shared)],
    ["Size", formatSize(entry.Size)],
    ["Description", entry.Description],
    ["Usage count", String(entry.UsageCount)],
    ["Last used", formatTimestamp(entry.LastUsedAt)],
    ["Type", entry.Type],
  ];
  return lines.map(([name, value]) => `${`${name}:`.padEnd(14)}${value}\n`).join("");
}

function formatTotals(entries: readonly CacheEntry[]): string {
  const sum = (counts: (entry: CacheEntry) => boolean) =>
    entries.reduce((total, entry) => total + (counts(entry) ? entry.Size : 0), 0);
  const lines = [
    ["Shared", sum(({ Shared }) => Shared)],
    ["Private", sum(({ Shared }) => !Shared)],
    ["Reclaimable", sum(({ InUse }) => !InUse)],
    ["Total", sum(() => true)],
  ] as const;
  return `\n${lines.map(([name, bytes]) => `${`${name}:`.padEnd(14)}${formatSize(bytes)}\n`).join("")}`;
}
