/** Writes a container's /etc/resolv.conf. */
import { isIP } from "node:net";
import { formatIpAddress, parseIpAddress } from "../../base/ip-address.ts";
import type { UpstreamServer } from "./types.ts";

const HOST_PATH = "/etc/resolv.conf";
const SYSTEMD_PATH = "/run/systemd/resolve/resolv.conf";
const SYSTEMD_STUB = "127.0.0.53";
/** Docker's servers for a host that names none. */
const DEFAULT_IPV4_SERVERS = ["8.8.8.8", "8.8.4.4"];
const DEFAULT_IPV6_SERVERS = ["2001:4860:4860::8888", "2001:4860:4860::8844"];

export interface ResolvConfRequest {
  /** The text of the host's file, and its path. */
  hostText: string;
  hostPath: string;
  /**
   * What the container or the daemon asks for instead of the host's values; an empty list means nothing. Servers are addresses.
   */
  servers: readonly string[];
  /** Search domains; "." alone means none. */
  search: readonly string[];
  options: readonly string[];
  /** True if the container has IPv6. */
  ipv6: boolean;
  /** The address of our resolver, or undefined if the servers themselves answer. */
  resolver?: string;
}

export interface ResolvConf {
  text: string;
  /** Servers for the resolver; the file does not name them. */
  servers: UpstreamServer[];
  /** See `Upstream`. */
  keepsSingleLabels: boolean;
}

/**
 * The host's file that names its servers, given the text of /etc/resolv.conf: systemd's file, if that one names nothing but
 * systemd's own resolver, which listens on the host's loopback.
 */
export function resolvConfPath(etcText: string): string {
  const { servers } = parseResolvConf(etcText);
  return servers.length === 1 && servers[0] === SYSTEMD_STUB ? SYSTEMD_PATH : HOST_PATH;
}

/**
 * Plans the /etc/resolv.conf of a container with a network of its own, as Docker 26.1 writes it, comments included: some programs
 * read the servers from there.
 *
 * Lists that the container gives replace the host's; the rest of the host's file is kept. With a resolver, that is the only
 * server, and the others are its upstream. Servers that only the host can reach are asked from there: those on its loopback,
 * those with a zone, those of a family that the container does not have. A given "ndots" stays; otherwise it becomes 0, so that a
 * container's name is first asked for unchanged. Without a resolver, servers of the host that the container cannot reach are left
 * out.
 */
export function planResolvConf(request: ResolvConfRequest): ResolvConf {
  const host = parseResolvConf(request.hostText);
  const own = request.servers.length > 0;
  const named = own ? request.servers.map(shortest) : host.servers;
  const search = request.search.length > 0 ? request.search.filter((domain) => domain !== ".") : host.search;
  const given = request.options.length > 0 ? [...request.options] : host.options;
  const upstream: UpstreamServer[] = named.map((address) => ({
    address,
    fromHost: !own && !isReachable(address, request.ipv6),
  }));
  if (request.resolver !== undefined) {
    const options = given.filter((option) => ndotsOf(option) === undefined || isNdots(option));
    const keepsSingleLabels = options.some(isNdots);
    const servers = upstream.length > 0 ? upstream : defaultServers(request.ipv6);
    return {
      text: format(request, host, {
        servers: [request.resolver],
        search,
        options: keepsSingleLabels ? options : [...options, "ndots:0"],
        usesDefaults: upstream.length === 0,
        upstream: servers,
        ndotsFrom: !keepsSingleLabels ? "internal" : request.options.length > 0 ? "override" : "host",
      }),
      servers,
      keepsSingleLabels,
    };
  }
  const reachable = upstream.filter(({ fromHost }) => !fromHost);
  const servers = reachable.length > 0 ? reachable : defaultServers(request.ipv6);
  const hasNdots = given.some((option) => ndotsOf(option) !== undefined);
  const text = format(request, host, {
    servers: servers.map(({ address }) => address),
    search,
    options: given,
    usesDefaults: reachable.length === 0,
    upstream: [],
    ndotsFrom: !hasNdots ? "" : request.options.length > 0 ? "override" : "host",
  });
  return { text, servers: [], keepsSingleLabels: false };
}

interface HostResolvConf {
  servers: string[];
  search: string[];
  options: string[];
  /** Lines of other sorts ("sortlist …"), unchanged. */
  other: string[];
  /** Words that stand where an address belongs. */
  invalidServers: string[];
}

/**
 * Parses a resolv.conf. Of several `search` and `domain` lines the last counts; servers and options add up. Source:
 * resolv.conf(5).
 */
function parseResolvConf(text: string): HostResolvConf {
  const parsed: HostResolvConf = { servers: [], search: [], options: [], other: [], invalidServers: [] };
  for (const line of text.split("\n")) {
    const [keyword = "", ...values] = line.trim().split(/\s+/);
    if (keyword === "" || /^[#;]/.test(keyword)) continue;
    const [first] = values;
    if (!["nameserver", "search", "domain", "options"].includes(keyword)) parsed.other.push(line);
    else if (first === undefined) continue;
    else if (keyword === "options") parsed.options.push(...values);
    else if (keyword !== "nameserver") parsed.search = values;
    else if (isIP(first) === 0) parsed.invalidServers.push(first);
    else parsed.servers.push(shortest(first));
  }
  return parsed;
}

/** Writes an address in its shortest form, with its zone if it has one. */
function shortest(address: string): string {
  const [bare = "", zone] = address.split("%", 2);
  return formatIpAddress(parseIpAddress(bare)) + (zone === undefined ? "" : `%${zone}`);
}

/** Whether an address can be reached from a network namespace other than the host's. */
function isReachable(address: string, ipv6: boolean): boolean {
  if (!address.includes(":")) return !address.startsWith("127.");
  return ipv6 && address !== "::1" && !address.includes("%");
}

function defaultServers(ipv6: boolean): UpstreamServer[] {
  const addresses = [...DEFAULT_IPV4_SERVERS, ...(ipv6 ? DEFAULT_IPV6_SERVERS : [])];
  return addresses.map((address) => ({ address, fromHost: false }));
}

function ndotsOf(option: string): string | undefined {
  const [name, value = ""] = option.split(":", 2);
  return name === "ndots" ? value : undefined;
}

function isNdots(option: string): boolean {
  return /^\d+$/.test(ndotsOf(option) ?? "");
}

interface Parts {
  servers: readonly string[];
  search: readonly string[];
  options: readonly string[];
  usesDefaults: boolean;
  upstream: readonly UpstreamServer[];
  ndotsFrom: "" | "host" | "override" | "internal";
}

function format(request: ResolvConfRequest, host: HostResolvConf, parts: Parts): string {
  const upstream = parts.upstream.map(({ address, fromHost }) => (fromHost ? `host(${address})` : address));
  const overrides = [
    ...(request.servers.length > 0 ? ["nameservers"] : []),
    ...(request.search.length > 0 ? ["search"] : []),
    ...(request.options.length > 0 ? ["options"] : []),
  ];
  const lines = [
    "# Generated by Lighter.",
    "",
    ...parts.servers.map((server) => `nameserver ${server}`),
    ...(parts.search.length > 0 ? [`search ${parts.search.join(" ")}`] : []),
    ...(parts.options.length > 0 ? [`options ${parts.options.join(" ")}`] : []),
    ...host.other,
    "",
    `# Based on host file: '${request.hostPath}' (${request.resolver === undefined ? "legacy" : "internal resolver"})`,
    ...(parts.usesDefaults ? ["# Used default nameservers."] : []),
    ...(upstream.length > 0 ? [`# ExtServers: [${upstream.join(" ")}]`] : []),
    ...(host.invalidServers.length > 0 ? [`# Invalid nameservers: [${host.invalidServers.join(" ")}]`] : []),
    `# Overrides: [${overrides.join(" ")}]`,
    ...(parts.ndotsFrom === "" ? [] : [`# Option ndots from: ${parts.ndotsFrom}`]),
  ];
  return lines.map((line) => `${line}\n`).join("");
}
