/** `version`: the versions of this program and of the daemon, in two aligned blocks or by a template. */
import { messageOf } from "../../base/errors.ts";
import { BUILT_AT, COMMIT, VERSION } from "../../base/version.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { goJson } from "../format/go.ts";
import { alignColumns } from "../format/table.ts";
import { compileTemplate } from "../format/template.ts";
import { withZeroValues } from "../format/zero-values.ts";
import { printLine, stdout } from "../output.ts";

const flags = { format: stringFlag('Format: "json" or a Go template', { short: "f" }) };

export const command = defineCommand({
  name: "version",
  usage: "[OPTIONS]",
  summary: "Show the version of this program and of the daemon",
  flags,
  args: { min: 0, max: 0 },
  run,
});

interface Component {
  readonly Name: string;
  readonly Version: string;
  readonly Details?: Readonly<Record<string, string>> | null;
}

interface ServerVersion {
  readonly Platform?: { readonly Name?: string };
  readonly Components?: readonly Component[] | null;
}

const API_VERSION = "1.45";

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const own = {
    Version: VERSION,
    ApiVersion: API_VERSION,
    DefaultAPIVersion: API_VERSION,
    GitCommit: COMMIT,
    GoVersion: "",
    Os: process.platform,
    Arch: process.arch === "x64" ? "amd64" : process.arch,
    BuildTime: BUILT_AT,
    Context: client.host.contextName ?? "default",
  };
  let failure: unknown;
  const server = await client.get<ServerVersion>("/version").catch((error: unknown) => {
    failure = error;
    return null;
  });
  const both = { Client: own, Server: server };
  if (values.format === "json") await printLine(goJson(both));
  else if (values.format !== "") await printLine(compileTemplate(values.format)(withZeroValues("version", both)));
  else await stdout.text(formatClient(own) + (server === null ? "" : `\n${formatServer(server)}`));
  if (failure !== undefined) throw new CliError(messageOf(failure));
  return 0;
}

function formatClient(own: Readonly<Record<string, string>>): string {
  const rows = [
    ["Version:", own.Version],
    ["API version:", own.ApiVersion],
    ["Bun version:", Bun.version],
    ["Git commit:", own.GitCommit],
    ["Built:", formatBuildTime(own.BuildTime ?? "")],
    ["OS/Arch:", `${own.Os}/${own.Arch}`],
    ["Context:", own.Context],
  ].filter(([, value]) => value !== "");
  return alignColumns(["Client:", ...rows.map((row) => ` ${row.join("\t")}`)], CLIENT_COLUMN);
}

/** Column widths that align the values of both blocks. */
const CLIENT_COLUMN = { min: 20, gap: 1 };

/** Details of the engine itself in the order shown, with their labels. */
const ENGINE_ROWS: readonly (readonly [label: string, value: (details: Readonly<Record<string, string>>) => string])[] =
  [
    ["API version:", (details) => `${details.ApiVersion} (minimum version ${details.MinAPIVersion})`],
    ["Go version:", (details) => details.GoVersion ?? ""],
    ["Git commit:", (details) => details.GitCommit ?? ""],
    ["Built:", (details) => formatBuildTime(details.BuildTime ?? "")],
    ["OS/Arch:", (details) => `${details.Os}/${details.Arch}`],
    ["Experimental:", (details) => details.Experimental ?? ""],
  ];

function formatServer(server: ServerVersion): string {
  const platform = server.Platform?.Name ?? "";
  const lines = [`Server:${platform === "" ? "" : ` ${platform}`}`];
  for (const { Name, Version, Details } of server.Components ?? []) {
    const details = Details ?? {};
    lines.push(` ${Name}:`, `  Version:\t${Version}`);
    if (Name === "Engine") {
      for (const [label, value] of ENGINE_ROWS) {
        const shown = value(details);
        // Details that this daemon lacks are left out: ours is not written in Go.
        if (shown !== "") lines.push(`  ${label}\t${shown}`);
      }
    } else for (const [key, value] of Object.entries(details).sort()) lines.push(`  ${key}:\t${value}`);
  }
  return alignColumns(lines, CLIENT_COLUMN);
}

/** Formats a time: "2026-08-13T05:35:48.000000000+00:00" → "Thu Aug 13 05:35:48 2026". */
function formatBuildTime(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  const [, weekday, day = "", month, year, clock] = /^(\w+), (\d+) (\w+) (\d+) (\S+)/.exec(date.toUTCString()) ?? [];
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${clock} ${year}`;
}
