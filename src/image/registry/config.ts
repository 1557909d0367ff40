/**
 * The servers that stand for a registry, and how far each is trusted.
 * Source: dockerd(8), "registry-mirrors" and "insecure-registries", and its behaviour.
 */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { LighterError } from "../../base/errors.ts";
import { DOCKER_HUB, DOCKER_HUB_HOST } from "../../spec/registry-auth.ts";
import { DEFAULT_CERTIFICATES_PATH, readCertificates } from "./certificates.ts";
import { isLoopback, type TlsOptions } from "./transport.ts";

export interface RegistryConfig {
  /** Docker's `registry-mirrors`: URLs that are asked before docker.io, and for docker.io only. */
  readonly mirrors?: readonly string[];
  /** Docker's `insecure-registries`: "HOST[:PORT]" or a CIDR. */
  readonly insecureRegistries?: readonly string[];
  /** A directory that has a directory for each "HOST[:PORT]". */
  readonly certificatesPath?: string;
}

/** An address at which an endpoint may be reached. */
export interface EndpointAddress {
  /** "https://HOST[:PORT]" and a mirror's path, if it has one; no slash at the end. */
  readonly baseUrl: string;
  readonly tls: TlsOptions;
}

export interface EndpointConfig {
  readonly isMirror: boolean;
  /** The addresses in order of preference: HTTPS, then HTTP if that is allowed. */
  readonly addresses: readonly EndpointAddress[];
}

/**
 * The endpoints: mirrors first, then the registry itself.
 * @throws LighterError ("invalid") for a configuration that cannot be meant.
 */
export async function endpointsOf(config: RegistryConfig, domain: string): Promise<EndpointConfig[]> {
  const mirrors = domain === DOCKER_HUB ? (config.mirrors ?? []) : [];
  const endpoints: EndpointConfig[] = [];
  for (const mirror of mirrors) {
    const url = parseMirror(mirror);
    const { tls } = await trustOf(config, url.host);
    const baseUrl = `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
    endpoints.push({ isMirror: true, addresses: [{ baseUrl, tls }] });
  }
  const host = domain === DOCKER_HUB ? DOCKER_HUB_HOST : domain;
  if (!URL.canParse(`https://${host}/`)) throw new LighterError("invalid", `invalid registry host "${host}"`);
  const { tls, allowsHttp } = await trustOf(config, host);
  const addresses: EndpointAddress[] = [{ baseUrl: `https://${host}`, tls }];
  if (allowsHttp) addresses.push({ baseUrl: `http://${host}`, tls: {} });
  endpoints.push({ isMirror: false, addresses });
  return endpoints;
}

/** Parses a mirror's URL. @throws LighterError ("invalid") in dockerd's words. */
export function parseMirror(text: string): URL {
  const fail = (why: string): LighterError => new LighterError("invalid", `invalid mirror: ${why}`);
  if (!URL.canParse(text)) throw fail(`"${text}" is not a valid URI`);
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw fail(`unsupported scheme "${url.protocol.slice(0, -1)}" in "${text}"`);
  if (url.search !== "" || url.hash !== "") throw fail(`query or fragment at end of the URI "${text}"`);
  if (url.username !== "" || url.password !== "") throw fail("username/password not allowed in URI");
  return url;
}

/**
 * How far a server is trusted. A registry with an authority in its directory of certificates is verified, wherever it is. Others
 * on loopback are not verified, and insecure ones never are; both may speak plain HTTP.
 */
async function trustOf(config: RegistryConfig, host: string): Promise<{ tls: TlsOptions; allowsHttp: boolean }> {
  const { hostname } = new URL(`https://${host}/`);
  if (await isInsecure(config.insecureRegistries ?? [], host, hostname))
    return { tls: { insecure: true }, allowsHttp: true };
  const tls = await readCertificates(config.certificatesPath ?? DEFAULT_CERTIFICATES_PATH, host);
  const allowsHttp = isLoopback(hostname);
  return { tls: allowsHttp && tls.ca === undefined ? { ...tls, insecure: true } : tls, allowsHttp };
}

async function isInsecure(entries: readonly string[], host: string, hostname: string): Promise<boolean> {
  const ranges = new BlockList();
  let hasRanges = false;
  for (const entry of entries) {
    const [address = "", prefix] = entry.split("/");
    const family = isIP(address);
    if (prefix === undefined) {
      if (entry.toLowerCase() === host.toLowerCase()) return true;
    } else {
      const max = family === 6 ? 128 : 32;
      if (family === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > max)
        throw new LighterError("invalid", `insecure registry "${entry}" is neither HOST[:PORT] nor a CIDR`);
      ranges.addSubnet(address, Number(prefix), family === 6 ? "ipv6" : "ipv4");
      hasRanges = true;
    }
  }
  if (!hasRanges) return false;
  const addresses = await addressesOf(hostname.replace(/^\[|\]$/g, ""));
  return addresses.some((address) => ranges.check(address, isIP(address) === 6 ? "ipv6" : "ipv4"));
}

async function addressesOf(hostname: string): Promise<string[]> {
  if (isIP(hostname) !== 0) return [hostname];
  try {
    return (await lookup(hostname, { all: true })).map(({ address }) => address);
  } catch {
    return []; // there is no such host: connecting will say so
  }
}
