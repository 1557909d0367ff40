/** Plans the texts of /etc/hosts, /etc/hostname and /etc/resolv.conf of a container. Pure. */
import { isIP } from "node:net";
import { isIpAddress } from "../../base/ip-address.ts";
import { planResolvConf, RESOLVER_ADDRESS, type ResolvConf } from "../../network/dns/mod.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid } from "./errors.ts";
import { parseNetworkMode } from "./namespaces.ts";

/** The texts of the three files that are bind-mounted into a container. */
export interface EtcFiles {
  hosts: string;
  hostname: string;
  resolvConf: string;
}

const DEFAULT_HOSTS: readonly (readonly [string, string])[] = [
  ["127.0.0.1", "localhost"],
  ["::1", "localhost ip6-localhost ip6-loopback"],
  ["fe00::0", "ip6-localnet"],
  ["ff00::0", "ip6-mcastprefix"],
  ["ff02::1", "ip6-allnodes"],
  ["ff02::2", "ip6-allrouters"],
];

/** The facts about a container's networks that the files tell. */
export interface NetworkFacts {
  /** Lines for linked containers, then for the container itself: an address and its names. */
  hosts: readonly (readonly [address: string, names: string])[];
  /** True if queries go to our resolver, which answers inside the container's namespace. */
  usesResolver: boolean;
  /** True if the container has IPv6. */
  ipv6: boolean;
  /** Finds the address that "host-gateway" in ExtraHosts stands for; called only if it is there. */
  hostGateway: () => string;
}

/** The texts of the host's own files. */
export interface HostEtcFiles {
  hosts: string;
  resolvConf: string;
  /** The path of the host's resolv.conf. */
  resolvConfPath: string;
}

/**
 * Plans /etc/hosts, /etc/hostname and /etc/resolv.conf for a container that does not share another's network. On the host's
 * network they are the host's own files, unless something else was asked for. Options have passed `validateEtcFiles`.
 */
export function planEtcFiles(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  hostFiles: HostEtcFiles,
  network: NetworkFacts,
): EtcFiles {
  const onHostNetwork = parseNetworkMode(hostConfig.NetworkMode).kind === "host";
  const extra = (hostConfig.ExtraHosts ?? []).map(parseExtraHost).map(({ name, address }) => {
    return [address === HOST_GATEWAY ? network.hostGateway() : address, name] as const;
  });
  const lines = [...DEFAULT_HOSTS, ...extra, ...network.hosts];
  return {
    hosts: onHostNetwork && extra.length === 0 ? hostFiles.hosts : lines.map(formatHostsLine).join(""),
    hostname: `${config.Hostname ?? ""}\n`,
    resolvConf: planContainerResolvConf(hostConfig, hostFiles, network).text,
  };
}

export function formatHostsLine([address, names]: readonly [string, string]): string {
  return `${address}\t${names}\n`;
}

/** Returns the names of a container for its own addresses: "web.example.org" adds "web". */
export function ownHostNames({ Hostname, Domainname }: DockerContainerConfig): string {
  const full = Domainname ? `${Hostname ?? ""}.${Domainname}` : (Hostname ?? "");
  const at = full.indexOf(".");
  return at === -1 ? full : `${full} ${full.slice(0, at)}`;
}

/** Checks ExtraHosts and Dns. @throws LighterError "invalid", with Docker's texts; "not-supported" */
export function validateEtcFiles(hostConfig: DockerHostConfig): void {
  for (const entry of hostConfig.ExtraHosts ?? []) parseExtraHost(entry);
  for (const server of hostConfig.Dns ?? [])
    if (isIP(server) === 0)
      throw invalid(`bad nameserver address ${server}: ParseAddr(${JSON.stringify(server)}): unable to parse IP`);
  for (const entry of [...(hostConfig.DnsSearch ?? []), ...(hostConfig.DnsOptions ?? [])])
    if (/\s/.test(entry)) throw invalid(`DNS search domains and options have no white space: ${JSON.stringify(entry)}`);
}

const HOST_GATEWAY = "host-gateway";

/** Parses "name:address"; an IPv6 address has colons of its own. */
function parseExtraHost(entry: string): { name: string; address: string } {
  const at = entry.indexOf(":");
  const name = entry.slice(0, at);
  if (at <= 0 || /\s/.test(name)) throw invalid(`bad format for add-host: ${JSON.stringify(entry)}`);
  const address = entry.slice(at + 1);
  if (address !== HOST_GATEWAY && !isIpAddress(address))
    throw invalid(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  return { name, address };
}

/**
 * Merges the container's resolver settings into the host's: each kind that is given replaces the host's. On the host's network
 * the result is the host's file, if nothing was asked for.
 */
export function planContainerResolvConf(
  { Dns, DnsSearch, DnsOptions, NetworkMode }: DockerHostConfig,
  { resolvConf: hostText, resolvConfPath: hostPath }: HostEtcFiles,
  { usesResolver, ipv6 }: Pick<NetworkFacts, "usesResolver" | "ipv6">,
): ResolvConf {
  const onHostNetwork = parseNetworkMode(NetworkMode).kind === "host";
  const [servers, search, options] = [Dns ?? [], DnsSearch ?? [], DnsOptions ?? []];
  if (onHostNetwork && servers.length + search.length + options.length === 0)
    return { text: hostText, servers: [], keepsSingleLabels: false };
  // On the host's network the container reaches whatever the host does.
  const all = onHostNetwork && servers.length === 0 ? nameserversOf(hostText) : servers;
  return planResolvConf({
    ...{ hostText, hostPath, servers: all, search, options, ipv6 },
    ...(usesResolver ? { resolver: RESOLVER_ADDRESS } : {}),
  });
}

function nameserversOf(text: string): string[] {
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1]!);
}
