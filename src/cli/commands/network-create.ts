import { parseCsvLine } from "../../base/value-syntax.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { printLine } from "../output.ts";
import { pairsToObject } from "../values/env-file.ts";
import { buildIpamConfigs } from "../values/ipam-values.ts";
import { parseLabel } from "../values/labels.ts";

const commaList = (help: string) => listFlag<readonly string[]>(help, { type: "strings", item: parseCsvLine });

const flags = {
  attachable: boolFlag("Let containers be attached by hand"),
  "aux-address": listFlag("Address that is not given to containers (name=address)", { type: "map" }),
  "config-from": stringFlag("Take the configuration of this network"),
  "config-only": boolFlag("Keep the configuration for other networks only"),
  driver: stringFlag("Network driver", { short: "d", initial: "bridge" }),
  gateway: commaList("Gateway of the subnet"),
  ingress: boolFlag("Make the network of a swarm's published ports"),
  internal: boolFlag("No way out of the network"),
  "ip-range": commaList("Give containers addresses of this part of the subnet"),
  "ipam-driver": stringFlag("Driver that gives addresses", { initial: "default" }),
  "ipam-opt": listFlag("Option of that driver (key=value)", { type: "map" }),
  ipv4: boolFlag("Give IPv4 addresses", { initial: true }),
  ipv6: boolFlag("Give IPv6 addresses, too"),
  label: listFlag("Label (key=value)", { item: parseLabel }),
  opt: listFlag("Driver option (key=value)", { short: "o", type: "map" }),
  scope: stringFlag("Scope of the network"),
  subnet: commaList("Subnet (10.0.0.0/24)"),
};

export const command = defineCommand({
  name: "network create",
  usage: "[OPTIONS] NETWORK",
  summary: "Create a network",
  flags,
  args: { min: 1, max: 1 },
  offers: "nothing",
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  if (!values.ipv4) client.needVersion("1.48", "--ipv4");
  const body = {
    Driver: values.driver,
    Scope: values.scope,
    ...(values.ipv4 ? {} : { EnableIPv4: false }),
    EnableIPv6: values.ipv6,
    IPAM: {
      Driver: values["ipam-driver"],
      Options: pairsToObject(values["ipam-opt"]),
      Config: buildIpamConfigs(
        values.subnet.flat(),
        values["ip-range"].flat(),
        values.gateway.flat(),
        pairsToObject(values["aux-address"]),
      ),
    },
    Internal: values.internal,
    Attachable: values.attachable,
    Ingress: values.ingress,
    ConfigOnly: values["config-only"],
    ConfigFrom: values["config-from"] === "" ? null : { Network: values["config-from"] },
    Options: pairsToObject(values.opt),
    Labels: pairsToObject(values.label),
    Name: args[0],
  };
  const { Id } = await client.postJson<{ Id: string }>("/networks/create", {}, body);
  await printLine(Id);
  return 0;
}
