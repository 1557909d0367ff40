import { parseCsvLine } from "../../base/value-syntax.ts";
import { type Context, defineCommand } from "../command.ts";
import { buildEndpoint } from "../containers/container-config.ts";
import { parseLink } from "../containers/container-flags.ts";
import { CliError } from "../exit.ts";
import { intFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { NO_OPTIONS } from "../values/network-values.ts";

const commaList = (help: string) => listFlag<readonly string[]>(help, { type: "strings", item: parseCsvLine });

const flags = {
  alias: commaList("Name of the container on this network"),
  "driver-opt": commaList("Driver option (key=value)"),
  "gw-priority": intFlag("The default route is by the network of the highest number"),
  ip: stringFlag("IPv4 address"),
  ip6: stringFlag("IPv6 address"),
  link: listFlag("Link to another container", { item: parseLink }),
  "link-local-ip": commaList("Link-local address"),
};

export const command = defineCommand({
  name: "network connect",
  usage: "[OPTIONS] NETWORK CONTAINER",
  summary: "Connect a container to a network",
  flags,
  args: { min: 2, max: 2 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [network = "", container = ""] = args;
  const driverOpts = parseDriverOpts(values["driver-opt"].flat());
  const gatewayPriority = values["gw-priority"];
  if (gatewayPriority !== 0) client.needVersion("1.48", "--gw-priority");
  const endpoint = buildEndpoint({ target: network, ...NO_OPTIONS, links: values.link, driverOpts, gatewayPriority });
  const linkLocalIps = values["link-local-ip"].flat();
  const body = {
    Container: container,
    EndpointConfig: {
      ...endpoint,
      IPAMConfig: {
        ...(values.ip === "" ? {} : { IPv4Address: values.ip }),
        ...(values.ip6 === "" ? {} : { IPv6Address: values.ip6 }),
        ...(linkLocalIps.length === 0 ? {} : { LinkLocalIPs: linkLocalIps }),
      },
      Aliases: values.alias.flat(),
      DriverOpts: driverOpts,
    },
  };
  await client.postEmpty(`/networks/${encodeName(network)}/connect`, {}, body);
  return 0;
}

function parseDriverOpts(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, key, value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
      if (key === undefined) throw new CliError("invalid key/value pair format in driver options");
      return [key, value];
    }),
  );
}
