/** Opens the parts of this host that networks need: its links, its firewall, its ports, and names answered inside containers. */
import { type Resolver, type ResolverOptions, startResolver } from "../../network/dns/mod.ts";
import { Firewall } from "../../network/firewall/mod.ts";
import { PortReservations } from "../../network/ports/mod.ts";
import type { Runtime } from "../../runtime/types.ts";
import type { HostPorts, PortFirewall } from "../endpoints/parts.ts";
import type { NetworkHost } from "../networks/host.ts";
import { HostLinks } from "../networks/host-links.ts";
import type { NetworkFirewall } from "../networks/networks.ts";
import { ownNames } from "../networks/own-names.ts";
import type { NetworkSettings } from "../networks/settings.ts";
import type { EnginePaths } from "../state/paths.ts";

export interface HostNetwork {
  host: NetworkHost;
  /** The firewall; undefined if the settings want no rules. */
  firewall?: NetworkFirewall & PortFirewall & Pick<Firewall, "watch">;
  hostPorts: HostPorts;
  startResolver: (options: ResolverOptions) => Promise<Resolver>;
}

/** Opens the network namespace in which the daemon is, until it ends. Changes nothing yet. */
export function openHostNetwork(
  paths: EnginePaths,
  settings: NetworkSettings,
  { removeLink }: Pick<Runtime, "removeLink">,
): HostNetwork {
  const { mark, table } = ownNames(paths.dataRoot);
  return {
    host: new HostLinks({ mark, forwardingPath: paths.forwarding, removeLink }),
    ...(settings.firewall || settings.firewall6 ? { firewall: new Firewall({ tableName: table }) } : {}),
    hostPorts: new PortReservations(),
    startResolver,
  };
}
