import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { parseGoUint } from "../format/go.ts";
import { compareNatural } from "../format/natural-order.ts";
import { encodeName } from "../http/client.ts";
import { printLine } from "../output.ts";
import type { PortBinding } from "../values/network-values.ts";

export const command = defineCommand({
  name: "port",
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  summary: "List port mappings or a specific mapping for the container",
  flags: {},
  args: { min: 1, max: 2 },
  run,
});

interface Inspected {
  readonly NetworkSettings: { readonly Ports?: Readonly<Record<string, readonly PortBinding[] | null>> | null };
}

async function run({ client }: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  const [container = "", wanted = ""] = args;
  const { NetworkSettings } = await client.get<Inspected>(`/containers/${encodeName(container)}/json`);
  const ports = NetworkSettings.Ports ?? {};
  const lines: string[] = [];
  if (wanted === "") {
    for (const [port, bindings] of Object.entries(ports))
      for (const binding of bindings ?? []) lines.push(`${port} -> ${joinHostPort(binding)}`);
  } else {
    const bindings = ports[portKey(wanted)];
    if (!bindings) throw new CliError(`Error: No public port '${wanted}' published for ${container}`);
    lines.push(...bindings.map(joinHostPort));
  }
  if (lines.length > 0) await printLine(lines.sort(compareNatural).join("\n"));
  return 0;
}

/** Adds the default protocol: "80" → "80/tcp". */
function portKey(text: string): string {
  const slash = text.indexOf("/");
  const port = slash === -1 ? text : text.slice(0, slash);
  const protocol = (slash === -1 ? "" : text.slice(slash + 1)) || "tcp";
  try {
    parseGoUint(port.replace(/^0+(?=\d)/, ""), 16);
  } catch (error) {
    throw new CliError(`Error: invalid port (${port}): ${messageOf(error)}`);
  }
  return `${port}/${protocol}`;
}

function joinHostPort({ HostIp, HostPort }: PortBinding): string {
  return HostIp.includes(":") ? `[${HostIp}]:${HostPort}` : `${HostIp}:${HostPort}`;
}
