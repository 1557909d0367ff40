/** Makes, changes and lists links, addresses and routes. */
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
  /** A text that is stored with the link when it is made. */
  alias?: string;
}

/**
 * Links, addresses and routes of the network namespace in which the calling thread is when this is made. Every method is
 * synchronous and throws LighterError ("kernel") with the errno.
 */
export class RouteSocket implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK.ROUTE);

  links(): LinkInfo[] {
    return this.#socket.dump(encodeListLinks(), "list network interfaces").map(parseLink);
  }

  /** Finds a link by name or index. */
  findLink(link: string | number): LinkInfo | undefined {
    try {
      return this.#socket.request([encodeGetLink(link)], `look for network interface ${link}`).map(parseLink)[0];
    } catch (error) {
      if (errnoOf(error) === "ENODEV") return undefined;
      throw error;
    }
  }

  /**
   * Makes a bridge that is down and has no addresses, and returns its index. It keeps its MAC address, by default a random one:
   * otherwise the kernel would change it with the bridge's ports.
   * @throws LighterError ("kernel"): EEXIST if there is a link of that name
   */
  createBridge(options: NewLink & { macAddress?: string } & BridgeOptions): number {
    const { macAddress = randomMacAddress() } = options;
    return this.#createLink(options, "bridge", [
      attr.bytes(IFLA.ADDRESS, parseMacAddress(macAddress)),
      bridgeKind(options),
    ]);
  }

  /** Makes a link for the parent's traffic with this VLAN id (1 to 4094). Returns and throws as `createBridge`. */
  createVlan(options: NewLink & { parentIndex: number; id: number }): number {
    return this.#createLink(options, "VLAN", [attr.u32(IFLA.LINK, options.parentIndex), vlanKind(options.id)]);
  }

  /** Makes a link that leads nowhere. Returns and throws as `createBridge`. */
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

  /** Removes a link by name or index; false if there is none. */
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

  /** The addresses of all links. */
  addresses(): AddressInfo[] {
    return this.#socket.dump(encodeListAddresses(), "list addresses").map(parseAddress);
  }

  /** Adds the address unless it is there. An IPv6 address can be used at once: there is no probe whether somebody has it. */
  replaceAddress(index: number, address: LinkAddress): void {
    const what = `give network interface ${index} the address ${address.address}/${address.prefixLength}`;
    this.#socket.request([encodeReplaceAddress(index, address)], what);
  }

  /** Removes the address; false if it was not there. */
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

  /** The main table's routes to other hosts. */
  routes(): RouteInfo[] {
    return this.#socket.dump(encodeListRoutes(), "list routes").flatMap((message) => parseRoute(message) ?? []);
  }

  /** Adds a route, replacing one to the same destination. `index` is that of the link it uses. */
  replaceRoute(route: Route, index?: number): void {
    const oif = index === undefined ? undefined : attr.u32(RTA.OIF, index);
    const via = route.gateway === undefined ? "" : ` via ${route.gateway}`;
    this.#socket.request([encodeReplaceRoute(route, oif)], `set the route to ${route.destination}${via}`);
  }

  /** What the bridges know: which address is reached by which of their ports. */
  forwarding(): ForwardingEntry[] {
    return this.#socket.dump(encodeListForwarding(), "list bridges' forwarding").map(parseForwarding);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** A random MAC address that is locally administered and unicast: no manufacturer's, and one host's. */
function randomMacAddress(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return formatMacAddress(bytes);
}
