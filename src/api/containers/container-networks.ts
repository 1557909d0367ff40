/** How a container's networks and ports are shown. */

import { createHash } from "node:crypto";
import { shortId } from "../../base/ids.ts";
import {
  type Container,
  dnsNames,
  type EndpointRecord,
  exposedPorts,
  formatPort,
  isUserDefined,
} from "../../engine/mod.ts";

type Row = Container["record"];

/** From this version of the API on, aliases are only what a user gave; before, the short id is one of them. */
const OWN_ALIASES_SINCE = 45;

/** One member of `NetworkSettings.Networks`. */
function describeEndpoint(record: Row, endpoint: EndpointRecord, apiMinor: number | undefined): object {
  const { wish, state, networkId, networkName } = endpoint;
  const ifGiven = <T>(what: NonNullable<typeof wish.givenEmpty>[number], empty: T) =>
    wish.givenEmpty?.includes(what) ? empty : null;
  const ipam = {
    ...(wish.ipv4Address === undefined ? {} : { IPv4Address: wish.ipv4Address }),
    ...(wish.ipv6Address === undefined ? {} : { IPv6Address: wish.ipv6Address }),
    ...(wish.linkLocalIPs === undefined ? {} : { LinkLocalIPs: wish.linkLocalIPs }),
  };
  // Lists have no names, as with Docker. A container that has never been in a network has no names in one yet.
  const names =
    apiMinor !== undefined && isUserDefined(networkName) && networkId !== "" ? dnsNames(record, endpoint) : null;
  return {
    IPAMConfig: Object.keys(ipam).length === 0 ? ifGiven("ipam", {}) : ipam,
    Links: wish.links ?? ifGiven("links", []),
    Aliases: aliasesOf(record, endpoint, names !== null && apiMinor! < OWN_ALIASES_SINCE) ?? ifGiven("aliases", []),
    MacAddress: state?.macAddress ?? (record.status === "created" ? wish.macAddress : undefined) ?? "",
    GwPriority: wish.gatewayPriority ?? 0,
    NetworkID: networkId,
    EndpointID: state?.endpointId ?? "",
    Gateway: state?.gateway4 ?? "",
    IPAddress: state?.ipv4?.address ?? "",
    IPPrefixLen: state?.ipv4?.prefixLength ?? 0,
    IPv6Gateway: state?.gateway6 ?? "",
    GlobalIPv6Address: state?.ipv6?.address ?? "",
    GlobalIPv6PrefixLen: state?.ipv6?.prefixLength ?? 0,
    DriverOpts: wish.driverOpts ?? ifGiven("driverOpts", {}),
    DNSNames: names,
  };
}

function aliasesOf({ id, config }: Row, { wish }: EndpointRecord, withOwn: boolean): string[] | null {
  const own = withOwn ? [shortId(id), ...(config.Hostname === shortId(id) ? [] : [config.Hostname ?? ""])] : [];
  const aliases = [...(wish.aliases ?? []), ...own].filter((alias) => alias !== "");
  return aliases.length === 0 ? null : aliases;
}

/** `NetworkSettings.Networks`. `apiMinor` is that of an inspect; undefined in a list. */
export function describeNetworks({ record }: Container, apiMinor?: number): Record<string, object> {
  return Object.fromEntries(
    record.networking.endpoints.map((endpoint) => [endpoint.networkName, describeEndpoint(record, endpoint, apiMinor)]),
  );
}

/** `NetworkSettings` of an inspect. */
export function describeNetworkSettings(container: Container, apiMinor: number): Record<string, unknown> {
  const { record } = container;
  const main = record.networking.endpoints.find(({ networkName }) => networkName === "bridge")?.state;
  const isOwn = !record.config.NetworkDisabled && !record.hostConfig.NetworkMode?.startsWith("container:");
  const hasNamespace = container.isRunning && isOwn;
  return {
    Bridge: "",
    // No record is kept of a namespace, only of the process in it.
    SandboxID: hasNamespace ? createHash("sha256").update(`${record.id} ${record.startedAt}`).digest("hex") : "",
    SandboxKey: hasNamespace ? `/proc/${record.pid}/ns/net` : "",
    Ports: describePortMap(container),
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: main?.endpointId ?? "",
    Gateway: main?.gateway4 ?? "",
    GlobalIPv6Address: main?.ipv6?.address ?? "",
    GlobalIPv6PrefixLen: main?.ipv6?.prefixLength ?? 0,
    IPAddress: main?.ipv4?.address ?? "",
    IPPrefixLen: main?.ipv4?.prefixLength ?? 0,
    IPv6Gateway: main?.gateway6 ?? "",
    MacAddress: main?.macAddress ?? "",
    Networks: describeNetworks(container, apiMinor),
  };
}

/** Whether Docker would show ports: only those that can be reached, through a bridge that has a way out. */
function showsPorts({ record, isRunning }: Container): boolean {
  const isReached = ({ state }: EndpointRecord) => state?.hostInterface && (state.gateway4 ?? state.gateway6);
  return isRunning && record.networking.endpoints.some(isReached);
}

interface HostPort {
  HostIp: string;
  HostPort: string;
}

/** The map from a port such as "80/tcp" to where it is published, or to null if it is exposed only. */
function describePortMap(container: Container): Record<string, HostPort[] | null> {
  if (!showsPorts(container)) return {};
  const { config, hostConfig, networking } = container.record;
  const published = Map.groupBy(networking.ports, formatPort);
  const describe = ({ hostAddress, hostPort }: (typeof networking.ports)[number]): HostPort => ({
    HostIp: hostAddress,
    HostPort: hostPort === 0 ? "" : String(hostPort),
  });
  return Object.fromEntries(
    exposedPorts(config, hostConfig)
      .map(formatPort)
      .map((key) => [key, published.get(key)?.map(describe) ?? null]),
  );
}

/** `Ports` of a list. */
export function describePortList(container: Container): object[] {
  return Object.entries(describePortMap(container)).flatMap(([key, published]) => {
    const [port, Type] = key.split("/");
    const PrivatePort = Number(port);
    if (published === null) return [{ PrivatePort, Type }];
    return published.map(({ HostIp, HostPort }) => ({
      IP: HostIp,
      PrivatePort,
      ...(HostPort === "" ? {} : { PublicPort: Number(HostPort) }),
      Type,
    }));
  });
}

/** The shown ports, such as "80/tcp", by which lists are filtered. */
export function portsForFilter(container: Container): { exposed: string[]; published: string[] } {
  const ports = describePortMap(container);
  const published = Object.entries(ports).flatMap(([key, bindings]) => {
    const protocol = key.split("/")[1];
    return (bindings ?? []).map(({ HostPort }) => `${HostPort}/${protocol}`);
  });
  return { exposed: Object.keys(ports), published };
}
