/** The names by which containers of user-defined networks find each other. */
import { shortId } from "../../base/ids.ts";
import type { NamedEndpoint } from "../../network/dns/mod.ts";
import { isUserDefined, parseLink } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { EndpointRecord } from "../networks/types.ts";
import type { ContainerRecord } from "../state/record.ts";

/** Returns a container's names in a network, as inspect shows them: name, aliases, short id, host name. */
export function dnsNames({ id, name, config }: ContainerRecord, { wish }: EndpointRecord): string[] {
  const names = [name, ...(wish.aliases ?? []), shortId(id), config.Hostname ?? ""];
  return [...new Set(names)].filter((each) => each !== "");
}

/**
 * Makes the entry for the table of names; undefined if the network has no names. `internal`: the network is; `find`: a container
 * by name or id, if there is one.
 */
export function namedEndpoint(
  record: ContainerRecord,
  endpoint: EndpointRecord,
  internal: boolean,
  find: (ref: string) => Container | undefined,
): NamedEndpoint | undefined {
  const { state, networkId, networkName, wish } = endpoint;
  if (state === undefined || !isUserDefined(networkName)) return undefined;
  const links = (wish.links ?? []).flatMap((text) => {
    const { name, alias } = parseLink(text);
    const linked = find(name);
    return linked === undefined ? [] : [{ alias, containerId: linked.id }];
  });
  return {
    endpointId: state.endpointId,
    containerId: record.id,
    networkId,
    networkName,
    internal,
    names: dnsNames(record, endpoint),
    links,
    ...(state.ipv4 === undefined ? {} : { ipv4: state.ipv4.address }),
    ...(state.ipv6 === undefined ? {} : { ipv6: state.ipv6.address }),
  };
}

/** Tells whether a container has links by name; the linked one may exist only later, or under another name. */
export function linksByName({ networking }: ContainerRecord): boolean {
  return networking.endpoints.some(
    ({ networkName, wish }) => (wish.links ?? []).length > 0 && isUserDefined(networkName),
  );
}
