import { errnoOf } from "../../base/errors.ts";
import type { AddressInfo, LinkAddress } from "./addresses.ts";
import { encodeListAddresses, encodeRemoveAddress, encodeReplaceAddress, parseAddress } from "./addresses.ts";
import type { Attribute } from "./attributes.ts";
import { attr } from "./attributes.ts";
import type { BridgeOptions, BridgePortOptions, LinkChanges, LinkInfo } from "./links.ts";
import {
  bridgeKind,
  encodeGetLink,
  encodeListLinks,
  encodeNewLink,
  encodeRemoveLink,
  encodeSetAlias,
  encodeSetBridgePort,
  encodeSetLink,
  formatMacAddress,
  IFLA,
  linkKind,
  parseLink,
  parseMacAddress,
  vlanKind,
} from "./links.ts";
import type { ForwardingEntry } from "./neighbours.ts";
import { encodeListForwarding, parseForwarding } from "./neighbours.ts";
import type { Route, RouteInfo } from "./routes.ts";
import { encodeListRoutes, encodeReplaceRoute, parseRoute, RTA } from "./routes.ts";
import { NETLINK, NetlinkSocket } from "./socket.ts";

interface NewLink {
  name: string;
  mtu?: number;
  /** Noted with it, in the same moment. */
  alias?: string;
}

/**
 * Links, addresses and routes of the network namespace that the calling thread is in when this is made.
 * Everything is synchronous, and throws LighterError ("kernel") with the errno.
 */
export class RouteSocket implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK.ROUTE);

  links(): LinkInfo[] {
    return this.#socket.dump(encodeListLinks(), "list network interfaces").map(parseLink);
  }

  /** By name or index. */
  findLink(link: string | number): LinkInfo | undefined {
    try {
      return this.#socket.request([encodeGetLink(link)], `look for network interface ${link}`).map(parseLink)[0];
    } catch (error) {
      if (errnoOf(error) === "ENODEV") return undefined;
      throw error;
    }
  }

  /**
   * A bridge, down, without addresses; returns its index. It keeps its MAC address, a random one if none is given: the kernel would
   * change it with its ports.
   * @throws LighterError ("kernel"): EEXIST if there is a link of that name
   */
  createBridge(options: NewLink & { macAddress?: string } & BridgeOptions): number {
    const { macAddress = randomMacAddress() } = options;
    return this.#createLink(options, "bridge", [
      attr.bytes(IFLA.ADDRESS, parseMacAddress(macAddress)),
      bridgeKind(options),
    ]);
  }

  /** What is on the parent with this VLAN id (1 to 4094). As `createBridge`. */
  createVlan(options: NewLink & { parentIndex: number; id: number }): number {
    return this.#createLink(options, "VLAN", [attr.u32(IFLA.LINK, options.parentIndex), vlanKind(options.id)]);
  }

  /** A link that leads nowhere. As `createBridge`. */
  createDummy(options: NewLink): number {
    return this.#createLink(options, "dummy", [linkKind("dummy")]);
  }

  #createLink({ name, mtu, alias }: NewLink, what: string, attributes: readonly Attribute[]): number {
    const messages = [
      encodeNewLink(name, [...(mtu === undefined ? [] : [attr.u32(IFLA.MTU, mtu)]), ...attributes]),
      ...(alias === undefined ? [] : [encodeSetAlias(name, alias)]),
      encodeGetLink(name),
    ];
    const [link] = this.#socket.request(messages, `create ${what} ${name}`).map(parseLink);
    return link!.index;
  }

  setAlias(index: number, alias: string): void {
    this.#socket.request([encodeSetAlias(index, alias)], `note "${alias}" with network interface ${index}`);
  }

  /** By name or index; false if there is none. */
  removeLink(link: string | number): boolean {
    try {
      this.#socket.request([encodeRemoveLink(link)], `remove network interface ${link}`);
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENODEV") return false;
      throw error;
    }
  }

  setLink(index: number, changes: LinkChanges): void {
    this.#socket.request([encodeSetLink(index, changes)], `change network interface ${index}`);
  }

  setBridgePort(index: number, options: BridgePortOptions): void {
    this.#socket.request([encodeSetBridgePort(index, options)], `change bridge port ${index}`);
  }

  /** Of all links. */
  addresses(): AddressInfo[] {
    return this.#socket.dump(encodeListAddresses(), "list addresses").map(parseAddress);
  }

  /** Adds it, unless it is there. An IPv6 address can be used at once: nobody is asked whether they have it. */
  replaceAddress(index: number, address: LinkAddress): void {
    const what = `give network interface ${index} the address ${address.address}/${address.prefixLength}`;
    this.#socket.request([encodeReplaceAddress(index, address)], what);
  }

  /** False: it was not there. */
  removeAddress(index: number, address: LinkAddress): boolean {
    const what = `take the address ${address.address}/${address.prefixLength} from network interface ${index}`;
    try {
      this.#socket.request([encodeRemoveAddress(index, address)], what);
      return true;
    } catch (error) {
      if (errnoOf(error) === "EADDRNOTAVAIL" || errnoOf(error) === "ENODEV") return false;
      throw error;
    }
  }

  /** Of the main table, to other hosts. */
  routes(): RouteInfo[] {
    return this.#socket.dump(encodeListRoutes(), "list routes").flatMap((message) => parseRoute(message) ?? []);
  }

  /** In place of one to the same destination. `index`: of the link it goes by. */
  replaceRoute(route: Route, index?: number): void {
    const oif = index === undefined ? undefined : attr.u32(RTA.OIF, index);
    const via = route.gateway === undefined ? "" : ` via ${route.gateway}`;
    this.#socket.request([encodeReplaceRoute(route, oif)], `set the route to ${route.destination}${via}`);
  }

  /** What the bridges know of who is behind which of their ports. */
  forwarding(): ForwardingEntry[] {
    return this.#socket.dump(encodeListForwarding(), "list bridges' forwarding").map(parseForwarding);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** Not a manufacturer's, and one host's: locally administered, unicast. */
function randomMacAddress(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return formatMacAddress(bytes);
}
