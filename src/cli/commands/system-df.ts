/** `system df`: what images, containers, volumes and the build cache take on disk, as totals or (-v) one by one. */
import { formatDuration } from "../../base/duration.ts";
import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows, rowValues } from "../format/table.ts";
import { compileTemplate } from "../format/template.ts";
import { formatTimestamp } from "../format/time.ts";
import { formatSize } from "../format/units.ts";
import { type Volume, volumeColumns } from "../format/volume-row.ts";
import { stdout } from "../output.ts";
import { type Summary as Image, imageColumns, imageRows } from "./images.ts";
import { type Summary as Container, summaryColumns } from "./ps.ts";

const flags = {
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  verbose: boolFlag("Show every image, container, volume and cache", { short: "v" }),
};

export const command = defineCommand({
  name: "system df",
  usage: "[OPTIONS]",
  summary: "Show what uses the disk",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** The API's BuildCache, with the fields that are shown. */
interface Cache {
  readonly ID: string;
  readonly Type: string;
  readonly Description?: string;
  readonly Size: number;
  readonly InUse: boolean;
  readonly Shared: boolean;
  readonly CreatedAt: string;
  readonly LastUsedAt?: string | null;
  readonly UsageCount: number;
}

interface DiskUsage {
  readonly LayersSize?: number;
  readonly Images?: readonly Image[] | null;
  readonly Containers?: readonly Container[] | null;
  readonly Volumes?: readonly Volume[] | null;
  readonly BuildCache?: readonly Cache[] | null;
  /** Reported by our own daemon only. */
  readonly PendingRemovals?: number;
}

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const usage = await client.get<DiskUsage>("/system/df");
  const isTable = values.format === "" || values.format === "table";
  if (values.verbose) await stdout.text(isTable ? formatVerbose(usage) : formatEverything(usage, values.format));
  else
    await stdout.text(
      renderRows(summarize(usage), totalColumns, isTable ? TOTALS_TABLE : values.format, {
        type: "*formatter.diskUsageImagesContext",
      }),
    );
  const { PendingRemovals: pending = 0 } = usage;
  if (isTable && pending > 0)
    await stdout.text(`\nStill being deleted: ${pending} of what was removed (containers, volumes, parts of images)\n`);
  return 0;
}

interface Total {
  readonly type: string;
  readonly count: number;
  readonly active: number;
  readonly bytes: number;
  readonly reclaimable: string;
}

const TOTALS_TABLE = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const totalColumns: Columns<Total> = {
  Active: { heading: "ACTIVE", value: ({ active }) => String(active) },
  Reclaimable: { heading: "RECLAIMABLE", value: ({ reclaimable }) => reclaimable },
  Size: { heading: "SIZE", value: ({ bytes }) => formatSize(bytes) },
  TotalCount: { heading: "TOTAL", value: ({ count }) => String(count) },
  Type: { heading: "TYPE", value: ({ type }) => type },
};

function summarize(usage: DiskUsage): Total[] {
  const images = usage.Images ?? [];
  const containers = usage.Containers ?? [];
  const volumes = usage.Volumes ?? [];
  const caches = usage.BuildCache ?? [];
  const layersSize = usage.LayersSize ?? 0;
  const usedByImages = sum(images, ({ Containers, Size, SharedSize = 0 }) =>
    (Containers ?? 0) === 0 || Size === -1 || SharedSize === -1 ? 0 : Size - SharedSize,
  );
  const isActive = ({ State }: Container) => ["running", "paused", "restarting"].includes(State);
  const containerSize = sum(containers, ({ SizeRw = 0 }) => SizeRw);
  const volumeBytes = ({ UsageData }: Volume) => Math.max(UsageData?.Size ?? 0, 0);
  const volumeSize = sum(volumes, volumeBytes);
  const isMounted = ({ UsageData }: Volume) => (UsageData?.RefCount ?? 0) > 0;
  const cacheSize = sum(caches, ownBytes);
  return [
    {
      type: "Images",
      count: images.length,
      active: images.filter(({ Containers = 0 }) => Containers > 0).length,
      bytes: layersSize,
      reclaimable: share(layersSize - usedByImages, layersSize),
    },
    {
      type: "Containers",
      count: containers.length,
      active: containers.filter(isActive).length,
      bytes: containerSize,
      reclaimable: share(
        sum(containers, (one) => (isActive(one) ? 0 : (one.SizeRw ?? 0))),
        containerSize,
      ),
    },
    {
      type: "Local Volumes",
      count: volumes.length,
      active: volumes.filter(isMounted).length,
      bytes: volumeSize,
      reclaimable: share(
        sum(volumes, (one) => (isMounted(one) ? 0 : volumeBytes(one))),
        volumeSize,
      ),
    },
    {
      type: "Build Cache",
      count: caches.length,
      active: caches.filter(({ InUse }) => InUse).length,
      bytes: cacheSize,
      reclaimable: formatSize(cacheSize - sum(caches, (one) => (one.InUse ? ownBytes(one) : 0))),
    },
  ];
}

/** Returns a cache entry's own bytes: those it shares are counted with the entries that have them too. */
function ownBytes({ Size, Shared }: Cache): number {
  return Shared ? 0 : Size;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** Formats a share, "1.2MB (40%)"; without a total there is no percentage. */
function share(bytes: number, total: number): string {
  return total > 0 ? `${formatSize(bytes)} (${Math.trunc((bytes * 100) / total)}%)` : formatSize(bytes);
}

const cacheColumns = (whole: boolean, nowMs: number): Columns<Cache> => {
  const ago = (text: string) => `${formatDuration(nowMs - Date.parse(text))} ago`;
  return {
    CacheType: { heading: "CACHE TYPE", value: ({ Type }) => Type },
    CreatedAt: { heading: "CREATED", value: ({ CreatedAt }) => formatTimestamp(CreatedAt) },
    CreatedSince: { heading: "CREATED", value: ({ CreatedAt }) => ago(CreatedAt) },
    Description: { heading: "DESCRIPTION", value: ({ Description = "" }) => Description },
    ID: {
      heading: "CACHE ID",
      value: ({ ID, InUse }) => (whole ? ID : shortId(ID)) + (InUse ? "*" : ""),
    },
    InUse: { heading: "IN USE", value: ({ InUse }) => String(InUse) },
    LastUsedAt: { heading: "LAST USED", value: ({ LastUsedAt }) => (LastUsedAt ? formatTimestamp(LastUsedAt) : "") },
    LastUsedSince: { heading: "LAST USED", value: ({ LastUsedAt }) => (LastUsedAt ? ago(LastUsedAt) : "") },
    Shared: { heading: "SHARED", value: ({ Shared }) => String(Shared) },
    Size: { heading: "SIZE", value: ({ Size }) => formatSize(Size, 3) },
    UsageCount: { heading: "USAGE", value: ({ UsageCount }) => String(UsageCount) },
  };
};

/** Returns the rows of every kind with their columns; `whole` means not shortened. */
function everything(usage: DiskUsage, whole: boolean) {
  const nowMs = Date.now();
  return {
    images: {
      rows: (usage.Images ?? []).flatMap((image) => imageRows(image, false)),
      columns: sizedImages(whole, nowMs),
    },
    // What a container shares with its image counts as the image's.
    containers: {
      rows: (usage.Containers ?? []).map((one) => ({ ...one, SizeRootFs: 0 })),
      columns: summaryColumns(whole, nowMs),
    },
    volumes: { rows: usage.Volumes ?? [], columns: volumeColumns },
    caches: { rows: usage.BuildCache ?? [], columns: cacheColumns(whole, nowMs) },
  };
}

/** Returns the columns of `images`, with four digits as in totals where bytes are shared. */
function sizedImages(whole: boolean, nowMs: number): ReturnType<typeof imageColumns> {
  const columns = imageColumns(whole, nowMs);
  const known = (bytes: number | undefined, value: (bytes: number) => number) =>
    bytes === undefined || bytes === -1 ? "N/A" : formatSize(value(bytes));
  return {
    ...columns,
    Digest: { heading: "DIGEST", value: ({ digest }) => (digest === "<none>" ? "" : digest) },
    SharedSize: { heading: "SHARED SIZE", value: ({ image }) => known(image.SharedSize, (bytes) => bytes) },
    UniqueSize: {
      heading: "UNIQUE SIZE",
      value: ({ image }) => known(image.SharedSize, (bytes) => image.Size - bytes),
    },
  };
}

function formatVerbose(usage: DiskUsage): string {
  const { images, containers, volumes, caches } = everything(usage, false);
  const imageTable = renderRows(
    images.rows,
    images.columns,
    "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
  );
  const containerTable = renderRows(
    containers.rows,
    containers.columns,
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
  );
  const volumeTable = renderRows(volumes.rows, volumes.columns, "table {{.Name}}\t{{.Links}}\t{{.Size}}");
  const cacheTable = renderRows(
    caches.rows,
    caches.columns,
    "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
  );
  const cacheSize = formatSize(sum(caches.rows, ownBytes));
  return [
    `Images space usage:\n\n${imageTable}`,
    `Containers space usage:\n\n${containerTable}`,
    `Local Volumes space usage:\n\n${volumeTable}`,
    `Build cache usage: ${cacheSize}\n\n${cacheTable}`,
  ].join("\n");
}

/** Applies a template to all lists at once: {{range .Images}}…{{end}}. */
function formatEverything(usage: DiskUsage, format: string): string {
  const { images, containers, volumes, caches } = everything(usage, true);
  const template = compileTemplate(format === "json" ? "{{json .}}" : format, "everywhere");
  return template({
    Images: images.rows.map((row) => rowValues(row, images.columns)),
    Containers: containers.rows.map((row) => rowValues(row, containers.columns)),
    Volumes: volumes.rows.map((row) => rowValues(row, volumes.columns)),
    BuildCache: caches.rows.map((row) => rowValues(row, caches.columns)),
  });
}
