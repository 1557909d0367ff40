import { formatDuration } from "../../base/duration.ts";
import { shortId } from "../../base/ids.ts";
import { parseRfc3339 } from "../../base/time.ts";
import { type Context, defineCommand } from "../command.ts";
import { PARALLEL } from "../containers/each.ts";
import { ApiError } from "../exit.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { formatBinarySize } from "../format/units.ts";
import type { Client } from "../http/client.ts";
import type { InspectedMachine } from "../machines/machine.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

const flags = {
  filter: listFlag("Show only machines that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  quiet: boolFlag("Show names only", { short: "q" }),
};

export const command = defineCommand({
  name: "machine ls",
  usage: "[OPTIONS]",
  summary: "List machines",
  flags,
  args: { min: 0, max: 0 },
  run,
});

const TABLE = "table {{.Name}}\t{{.State}}\t{{.Init}}\t{{.Address}}\t{{.Image}}\t{{.Limits}}";

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const filters = encodeFilters([...values.filter, "runtime=machine"]);
  const summaries = await client.get<{ Id: string }[]>("/containers/json", { all: "1", filters });
  const machines: InspectedMachine[] = [];
  for (let from = 0; from < summaries.length; from += PARALLEL)
    machines.push(
      ...(await Promise.all(summaries.slice(from, from + PARALLEL).map(({ Id }) => inspect(client, Id)))).flat(),
    );
  const format = values.quiet ? "{{.Name}}" : values.format === "" || values.format === "table" ? TABLE : values.format;
  await stdout.text(renderRows(machines, columns(Date.now()), format));
  return 0;
}

/** Returns one machine, or none if it has been removed meanwhile. */
async function inspect(client: Client, id: string): Promise<InspectedMachine[]> {
  try {
    return [await client.get<InspectedMachine>(`/containers/${id}/json`)];
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

function columns(nowMs: number): Columns<InspectedMachine> {
  const ageMs = (time: string) => nowMs - Number((parseRfc3339(time) ?? 0n) / 1_000_000n);
  return {
    Address: { heading: "ADDRESS", value: addresses },
    Created: { heading: "CREATED", value: ({ Created }) => `${formatDuration(ageMs(Created))} ago` },
    ID: { heading: "MACHINE ID", value: ({ Id }) => shortId(Id) },
    Image: { heading: "IMAGE", value: ({ Config }) => Config.Image },
    Init: { heading: "INIT", value: ({ State }) => State.Machine?.Init ?? "" },
    Limits: { heading: "LIMITS", value: limits },
    Name: { heading: "NAME", value: ({ Name }) => Name.replace(/^\//, "") },
    State: { heading: "STATE", value: describeState },
  };
}

function describeState({ State: { Status, Machine } }: InspectedMachine): string {
  if (Status === "running") return Machine?.Status ?? Status;
  if (Status !== "exited") return Status;
  return Machine?.End ? `stopped (${Machine.End})` : "stopped";
}

function addresses({ NetworkSettings }: InspectedMachine): string {
  return Object.values(NetworkSettings.Networks ?? {})
    .flatMap(({ IPAddress, GlobalIPv6Address }) => [IPAddress, GlobalIPv6Address])
    .filter((address) => address)
    .join(",");
}

function limits({ HostConfig: { Memory = 0, NanoCpus = 0, PidsLimit } }: InspectedMachine): string {
  const cpus = NanoCpus / 1e9;
  return [
    ...(Memory > 0 ? [formatBinarySize(Memory)] : []),
    ...(cpus > 0 ? [`${cpus} CPU${cpus === 1 ? "" : "s"}`] : []),
    ...((PidsLimit ?? 0) > 0 ? [`${PidsLimit} processes`] : []),
  ].join(", ");
}
