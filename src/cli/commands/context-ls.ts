import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { listContexts } from "../http/contexts.ts";
import { resolveHost } from "../http/host.ts";
import { stdout } from "../output.ts";

const flags = {
  format: stringFlag("Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
  quiet: boolFlag("Only show context names", { short: "q" }),
};

interface Row {
  readonly name: string;
  readonly description: string;
  readonly host: string;
  readonly isCurrent: boolean;
}

const columns: Columns<Row> = {
  Current: { heading: "", value: ({ isCurrent }) => String(isCurrent) },
  Description: { heading: "DESCRIPTION", value: ({ description }) => description },
  DockerEndpoint: { heading: "DOCKER ENDPOINT", value: ({ host }) => host },
  Error: { heading: "ERROR", value: () => "" },
  Name: { heading: "NAME", value: ({ name }) => name },
};

const TABLE = 'table {{.Name}}{{if eq .Current "true"}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}';

export const command = defineCommand({
  name: "context ls",
  usage: "[OPTIONS]",
  summary: "List contexts",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const current = client.host.contextName ?? "default";
  const byDefault = client.host.contextName === undefined ? client.host : resolveHost(undefined, process.env);
  const rows = [
    { name: "default", description: "By -H, LIGHTER_HOST or DOCKER_HOST, else Lighter's own", host: byDefault.name },
    ...listContexts(process.env),
  ].map((row) => ({ ...row, isCurrent: row.name === current }));
  const format = values.format === "" || values.format === "table" ? TABLE : values.format;
  await stdout.text(values.quiet ? rows.map(({ name }) => `${name}\n`).join("") : renderRows(rows, columns, format));
  return 0;
}
