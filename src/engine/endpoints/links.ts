/**
 * Links of containers on the default network (`--link`), which Docker calls legacy: lines in /etc/hosts and environment
 * variables, and without icc the way to the other. On other networks they are names, see names.ts. Pure.
 */
import { LighterError } from "../../base/errors.ts";
import type { ContainerLink } from "../../network/types.ts";
import { DEFAULT_NETWORK, exposedPorts, parseLink } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { ContainerRecord } from "../state/record.ts";

export interface LinkedContainer {
  alias: string;
  container: Container;
}

/** Tells whether the links of a container's HostConfig mean anything: they do on the default network only. */
export function hasLegacyLinks({ hostConfig }: ContainerRecord): boolean {
  return (hostConfig.Links ?? []).length > 0 && hostConfig.NetworkMode === DEFAULT_NETWORK;
}

/** Returns the linked containers that still exist. */
export function linksOf(record: ContainerRecord, find: (ref: string) => Container | undefined): LinkedContainer[] {
  if (!hasLegacyLinks(record)) return [];
  return (record.hostConfig.Links ?? []).flatMap((text) => {
    const { name, alias } = parseLink(text);
    const container = find(name);
    return container === undefined ? [] : [{ alias, container }];
  });
}

/** Checks that all linked containers run on the default network. @throws LighterError "internal", as with Docker, if one does not */
export function requireLinks(record: ContainerRecord, find: (ref: string) => Container | undefined): void {
  for (const { alias, container } of linksOf(record, find)) {
    const { name, networking } = container.record;
    if (!container.isRunning)
      throw new LighterError(
        "internal",
        `Cannot link to a non running container: /${name} AS /${record.name}/${alias}`,
      );
    if (!networking.endpoints.some(({ networkName }) => networkName === DEFAULT_NETWORK))
      throw new LighterError("internal", `Cannot link to /${name}, as it does not belong to the default network`);
  }
}

/** Describes links as inspect shows them; null for none. */
export function describeLinks(
  engine: { findIf(ref: string): Container | undefined },
  { record }: Container,
): string[] | null {
  const links = linksOf(record, (ref) => engine.findIf(ref)).map(
    ({ alias, container }) => `/${container.record.name}:/${record.name}/${alias}`,
  );
  return links.length === 0 ? null : links;
}

/** Returns the address of the other container on the default network; undefined while it does not run. */
function addressOf({ record }: Container): string | undefined {
  return record.networking.endpoints.find(({ networkName }) => networkName === DEFAULT_NETWORK)?.state?.ipv4?.address;
}

/** Lists what links open between containers of the default network's bridge: all that the linked one exposes. */
export function linksIn(
  bridge: string,
  containers: Iterable<Container>,
  find: (ref: string) => Container | undefined,
): ContainerLink[] {
  return [...containers].flatMap((container) => {
    const from = hasLegacyLinks(container.record) ? addressOf(container) : undefined;
    if (from === undefined) return [];
    return linksOf(container.record, find).flatMap(({ container: linked }) => {
      const to = addressOf(linked);
      const { config, hostConfig } = linked.record;
      if (to === undefined) return [];
      return exposedPorts(config, hostConfig).map(({ port, protocol }) => ({ bridge, from, to, protocol, port }));
    });
  });
}

/** Returns the lines of /etc/hosts for linked containers. */
export function linkHosts(links: readonly LinkedContainer[]): [address: string, names: string][] {
  return links.flatMap(({ alias, container }) => {
    const address = addressOf(container);
    const { name, config } = container.record;
    const names = [...new Set([alias, config.Hostname ?? "", name])].filter((each) => each !== "");
    return address === undefined ? [] : [[address, names.join(" ")] as [string, string]];
  });
}

/** The variables of the other's environment that Docker does not hand on. */
const OWN_VARIABLES: readonly string[] = ["HOME", "PATH"];

/** Returns the variables for links, "NAME=value", in Docker's order. */
export function linkVariables(ownName: string, links: readonly LinkedContainer[]): string[] {
  return links.flatMap((link) => {
    const address = addressOf(link.container);
    return address === undefined ? [] : variablesOf(ownName, link, address);
  });
}

function variablesOf(ownName: string, { alias, container }: LinkedContainer, address: string): string[] {
  const { config, hostConfig } = container.record;
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  const ports = exposedPorts(config, hostConfig);
  const url = ({ port, protocol }: (typeof ports)[number]) => `${protocol}://${address}:${port}`;
  const nameOf = ({ port, protocol }: (typeof ports)[number]) => `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
  const variables: string[] = ports[0] === undefined ? [] : [`${prefix}_PORT=${url(ports[0])}`];
  for (const { first, last } of rangesOf(ports)) {
    const name = nameOf(first);
    variables.push(`${name}_START=${url(first)}`, `${name}_ADDR=${address}`, `${name}_PROTO=${first.protocol}`);
    variables.push(`${name}_PORT_START=${first.port}`, `${name}_END=${url(last)}`, `${name}_PORT_END=${last.port}`);
  }
  for (const port of ports) {
    const name = nameOf(port);
    variables.push(`${name}=${url(port)}`, `${name}_ADDR=${address}`, `${name}_PORT=${port.port}`);
    variables.push(`${name}_PROTO=${port.protocol}`);
  }
  variables.push(`${prefix}_NAME=/${ownName}/${alias}`);
  for (const variable of config.Env ?? []) {
    const at = variable.indexOf("=");
    if (at > 0 && !OWN_VARIABLES.includes(variable.slice(0, at))) variables.push(`${prefix}_ENV_${variable}`);
  }
  return variables;
}

/** Finds ranges: three and more ports of one protocol in a row get variables together as well. */
function rangesOf<P extends { port: number; protocol: string }>(ports: readonly P[]): { first: P; last: P }[] {
  const ranges: { first: P; last: P; count: number }[] = [];
  const open = new Map<string, (typeof ranges)[number]>();
  for (const port of ports) {
    const range = open.get(port.protocol);
    if (range !== undefined && range.last.port + 1 === port.port) {
      range.last = port;
      range.count++;
    } else {
      const begun = { first: port, last: port, count: 1 };
      ranges.push(begun);
      open.set(port.protocol, begun);
    }
  }
  return ranges.filter(({ count }) => count > 2);
}

/** Returns the names that containers have by the links of others ("web/db"), by their ids. */
export function linkNames(all: readonly Container[]): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { record } of all) {
    if (!hasLegacyLinks(record)) continue;
    for (const { name: id, alias } of (record.hostConfig.Links ?? []).map(parseLink))
      names.set(id, [...(names.get(id) ?? []), `${record.name}/${alias}`]);
  }
  return names;
}

/** Removes the link of an alias from `links`; undefined if there is none. */
export function withoutLink(links: readonly string[], alias: string): string[] | undefined {
  const kept = links.filter((text) => parseLink(text).alias !== alias);
  return kept.length === links.length ? undefined : kept;
}
