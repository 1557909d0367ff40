import { isIP } from "node:net";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid, notSupported } from "./errors.ts";
import { parseNetworkMode } from "./namespaces.ts";

/** Texts of the three files that are bind-mounted into a container. */
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

/**
 * Contents of /etc/hosts, /etc/hostname and /etc/resolv.conf for a container that does not share another's network.
 * On the host's network they are the host's own files where nothing was asked for.
 * `hostFiles`: the host's, as text. Options have passed `validateEtcFiles`.
 */
export function planEtcFiles(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  hostFiles: { hosts: string; resolvConf: string },
): EtcFiles {
  const onHostNetwork = parseNetworkMode(hostConfig.NetworkMode).kind === "host";
  const extra = (hostConfig.ExtraHosts ?? []).map(parseExtraHost);
  const lines = [...DEFAULT_HOSTS, ...extra.map(({ name, address }) => [address, name] as const)];
  return {
    hosts:
      onHostNetwork && extra.length === 0
        ? hostFiles.hosts
        : lines.map(([address, names]) => `${address}\t${names}\n`).join(""),
    hostname: `${config.Hostname ?? ""}\n`,
    resolvConf: formatResolvConf(hostConfig, hostFiles.resolvConf, onHostNetwork),
  };
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

/** "name:address"; an IPv6 address has colons of its own. */
function parseExtraHost(entry: string): { name: string; address: string } {
  const at = entry.indexOf(":");
  const name = entry.slice(0, at);
  if (at <= 0 || /\s/.test(name)) throw invalid(`bad format for add-host: ${JSON.stringify(entry)}`);
  const address = entry.slice(at + 1);
  if (address === "host-gateway")
    throw notSupported("HostConfig.ExtraHosts", "host-gateway: bridge networks are not available yet");
  if (isIP(address) === 0) throw invalid(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  return { name, address };
}

/**
 * The host's resolver settings with the container's own in place of each kind given.
 * "DnsSearch": ["."] is how a client asks for no search domains. Source: resolv.conf(5).
 */
function formatResolvConf(hostConfig: DockerHostConfig, hostText: string, onHostNetwork: boolean): string {
  const { Dns: dns, DnsSearch: search, DnsOptions: options } = hostConfig;
  const given = [dns, search, options].some((list) => (list ?? []).length > 0);
  if (onHostNetwork && !given) return hostText;
  const host = { nameserver: [] as string[], search: [] as string[], options: [] as string[] };
  for (const line of hostText.split("\n")) {
    const [keyword = "", ...values] = line.trim().split(/\s+/);
    if (keyword === "nameserver" && values[0] !== undefined) host.nameserver.push(values[0]);
    else if (keyword === "search" || keyword === "domain")
      host.search = values; // the last one counts
    else if (keyword === "options") host.options.push(...values);
  }
  // A resolver on the host's loopback is out of reach from another network namespace.
  const inherited = onHostNetwork ? host.nameserver : host.nameserver.filter((server) => !isLoopback(server));
  const pick = (own: readonly string[] | null | undefined, inherit: readonly string[]) =>
    (own ?? []).length > 0 ? own! : inherit;
  const domains = pick(search, host.search).filter((domain) => domain !== ".");
  const settings = pick(options, host.options);
  return [
    ...pick(dns, inherited).map((server) => `nameserver ${server}\n`),
    ...(domains.length > 0 ? [`search ${domains.join(" ")}\n`] : []),
    ...(settings.length > 0 ? [`options ${settings.join(" ")}\n`] : []),
  ].join("");
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
