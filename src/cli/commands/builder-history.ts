import { formatDuration } from "../../base/duration.ts";
import { shortId } from "../../base/ids.ts";
import type { BuildFailure, SolveStatus } from "../../spec/solve-status.ts";
import { formatFailure } from "../build/failure-text.ts";
import { PlainDisplay } from "../build/plain-display.ts";
import { SolveState } from "../build/solve-state.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { stdout } from "../output.ts";

const flags = {
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  quiet: boolFlag("Show IDs only", { short: "q" }),
};

export const command = defineCommand({
  name: "builder history",
  usage: "[OPTIONS] [BUILD]",
  summary: "Show the last builds, or what one of them has said",
  flags,
  args: { min: 0, max: 1 },
  offers: "nothing",
  run,
});

interface Build {
  readonly Id: string;
  readonly Name: string;
  readonly StartedMs: number;
  /** 0 while it runs. */
  readonly EndedMs: number;
  readonly Image: string;
  readonly Error: string;
  readonly Steps: number;
  readonly CachedSteps: number;
}

interface BuildLog extends Build {
  readonly Statuses: readonly SolveStatus[];
  readonly Failure: BuildFailure;
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [id] = args;
  if (id !== undefined) {
    await stdout.text(formatLog(await client.get<BuildLog>(`/lighter/builds/${encodeURIComponent(id)}`)));
    return 0;
  }
  const builds = await client.get<Build[]>("/lighter/builds");
  const table = values.quiet ? "{{.ID}}" : TABLE;
  const format = values.format === "" || values.format === "table" ? table : values.format;
  await stdout.text(renderRows(builds, columnsAt(Date.now()), format));
  return 0;
}

const TABLE = "table {{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Steps}}\t{{.CreatedSince}}\t{{.Duration}}\t{{.Image}}";

const columnsAt = (nowMs: number): Columns<Build> => ({
  CreatedSince: { heading: "CREATED", value: ({ StartedMs }) => `${formatDuration(nowMs - StartedMs)} ago` },
  Duration: {
    heading: "DURATION",
    value: ({ StartedMs, EndedMs }) => `${(((EndedMs || nowMs) - StartedMs) / 1000).toFixed(1)}s`,
  },
  ID: { heading: "BUILD ID", value: ({ Id }) => Id },
  Image: { heading: "IMAGE", value: ({ Image }) => shortId(Image) },
  Name: { heading: "NAME", value: ({ Name }) => Name },
  Status: {
    heading: "STATUS",
    value: ({ Error: error, EndedMs }) => (EndedMs === 0 ? "Running" : error === "" ? "Completed" : "Error"),
  },
  Steps: { heading: "STEPS", value: ({ Steps, CachedSteps }) => `${Steps} (${CachedSteps} cached)` },
});

function formatLog({ Statuses, Failure, Error: error, Image }: BuildLog): string {
  const state = new SolveState();
  const display = new PlainDisplay(state);
  const lines = Statuses.map((status) => display.update(status)).join("") + display.end();
  const end = error === "" ? `\n${Image}\n` : `${formatFailure(state, Failure)}ERROR: failed to solve: ${error}\n`;
  return lines + end;
}
