/** The links of networks on this host, in the network namespace of the daemon. */
import { errnoOf, LighterError } from "../../base/errors.ts";
import { type LinkInfo, RouteSocket } from "../../linux/netlink/mod.ts";
import {
  enableForwarding,
  type Families,
  forwardWithin,
  routeLoopback,
  startBridge,
} from "../../network/host-settings.ts";
import type { InterfaceAddress } from "../../network/types.ts";
import { type BridgePlan, type HostLink, type NetworkHost, noForeignBridge, type ParentPlan } from "./host.ts";

const VLAN_ID_MAX = 4094;

export class HostLinks implements NetworkHost, Disposable {
  readonly #socket = new RouteSocket();
  /** The beginning of the alias of each link that is ours; the network's id follows. */
  readonly #mark: string;
  readonly #forwardingPath: string;

  readonly #removeLink: (index: number) => Promise<void>;

  /**
   * Opens the links. `mark`: differs for each data root. `forwardingPath`: see `enableForwarding`. `removeLink`: see the
   * runtime's.
   */
  constructor(options: { mark: string; forwardingPath: string; removeLink: (index: number) => Promise<void> }) {
    this.#mark = `${options.mark} `;
    this.#forwardingPath = options.forwardingPath;
    this.#removeLink = options.removeLink;
  }

  enableForwarding(families: Families): Families {
    return enableForwarding(families, this.#forwardingPath);
  }

  forwardWithin(bridge: string, isOn: boolean): void {
    forwardWithin(bridge, isOn);
  }

  routeLoopback(bridge: string, isOn: boolean): void {
    const link = this.#socket.findLink(bridge);
    if (link !== undefined && this.#isOwn(link)) routeLoopback(bridge, isOn);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  usedRanges(): string[] {
    const own = new Set(this.#ownLinks().map(({ index }) => index));
    const routes = this.#socket.routes().filter(({ destination, oif }) => destination !== "default" && !own.has(oif));
    const addresses = this.#socket.addresses().filter(({ index }) => !own.has(index));
    return [
      ...routes.map(({ destination }) => destination),
      ...addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    ];
  }

  addressesOf(name: string): InterfaceAddress[] | undefined {
    const link = this.#socket.findLink(name);
    if (link === undefined) return undefined;
    return this.#addressesAt(link.index).map(({ address, prefixLength }) => ({ address, prefixLength }));
  }

  indexOf(name: string): number | undefined {
    return this.#socket.findLink(name)?.index;
  }

  unplug(name: string): void {
    const link = this.#socket.findLink(name);
    if (link === undefined || link.masterIndex === 0) return;
    try {
      this.#socket.setLink(link.index, { masterIndex: 0 });
    } catch (error) {
      if (errnoOf(error) !== "ENODEV") throw error; // the link has gone meanwhile
    }
  }

  ensureBridge(plan: BridgePlan): HostLink {
    const found = this.#socket.findLink(plan.name);
    if (found !== undefined && found.kind !== "bridge")
      throw new LighterError("internal", `existing interface ${plan.name} is not a bridge`);
    if (found !== undefined && !this.#isOwn(found)) return this.#useForeign(found, plan);
    if (found === undefined && plan.foreign === "only") throw noForeignBridge(plan.name);
    const index = found?.index ?? this.#createBridge(plan);
    if (found !== undefined) this.#adopt(found, plan);
    for (const address of plan.addresses) this.#socket.replaceAddress(index, address);
    startBridge({ name: plan.name, index }, { ipv6: plan.enableIPv6, loopback: plan.loopback });
    return toHostLink(this.#socket.findLink(index)!);
  }

  #createBridge({ name, networkId, mtu }: BridgePlan): number {
    const alias = this.#mark + networkId;
    return this.#socket.createBridge({ name, alias, ...(mtu === 0 ? {} : { mtu }) });
  }

  /** Takes over a bridge that an earlier daemon has made, perhaps for a network of another address. */
  #adopt(link: LinkInfo, { networkId, mtu, addresses }: BridgePlan): void {
    if (link.alias !== this.#mark + networkId) this.#socket.setAlias(link.index, this.#mark + networkId);
    if (mtu !== 0 && mtu !== link.mtu) this.#socket.setLink(link.index, { mtu });
    for (const { address, prefixLength } of this.#addressesAt(link.index))
      if (!addresses.some((wanted) => wanted.address === address && wanted.prefixLength === prefixLength))
        this.#socket.removeAddress(link.index, { address, prefixLength });
  }

  /** Uses a foreign bridge as its maker has it, with the network's addresses added to its own. */
  #useForeign(link: LinkInfo, plan: BridgePlan): HostLink {
    if (plan.foreign === "no")
      throw new LighterError("conflict", `bridge ${plan.name} exists, and it is none of ours`, {
        hint: "remove it, or give the network another bridge's name",
      });
    for (const address of plan.addresses) this.#socket.replaceAddress(link.index, address);
    if (!link.isUp) this.#socket.setLink(link.index, { isUp: true });
    return toHostLink(link);
  }

  ensureParent({ name, isDummy, networkId }: ParentPlan): HostLink {
    const alias = this.#mark + networkId;
    const found = this.#socket.findLink(name);
    if (found !== undefined) {
      if (this.#isOwn(found) && !found.isUp) this.#socket.setLink(found.index, { isUp: true });
      return toHostLink(found);
    }
    const index = isDummy ? this.#socket.createDummy({ name, alias }) : this.#createVlan(name, alias);
    this.#socket.setLink(index, { isUp: true });
    return toHostLink(this.#socket.findLink(index)!);
  }

  /** Makes a VLAN: "eth0.10" is VLAN 10 of eth0. Source: libnetwork/drivers/macvlan/macvlan_setup.go, createVlanLink. */
  #createVlan(name: string, alias: string): number {
    const [parentName = "", id, ...more] = name.split(".");
    if (id === undefined)
      throw new LighterError("internal", `invalid subinterface vlan name ${name}, example formatting is eth0.10`);
    if (more.length > 0)
      throw new LighterError(
        "internal",
        `required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received ${name}`,
      );
    if (!/^[+-]?\d{1,15}$/.test(id))
      throw new LighterError("internal", `unable to parse a valid vlan id from: ${id} (ex. eth0.10 for vlan 10)`);
    const parent = this.#socket.findLink(parentName);
    if (parent === undefined)
      throw new LighterError("internal", `-o parent interface was not found on the host: ${parentName}`);
    if (Number(id) < 1 || Number(id) > VLAN_ID_MAX)
      throw new LighterError("internal", `vlan id must be between 1-4094, received: ${Number(id)}`);
    return this.#socket.createVlan({ name, alias, parentIndex: parent.index, id: Number(id) });
  }

  async removeLinks(networkId: string): Promise<void> {
    const wanted = this.#ownLinks().filter(({ alias }) => alias === this.#mark + networkId);
    await Promise.all(wanted.map(({ index }) => this.#removeLink(index)));
  }

  ownersOfLinks(): string[] {
    return this.#ownLinks().map(({ alias }) => alias.slice(this.#mark.length));
  }

  #ownLinks(): LinkInfo[] {
    return this.#socket.links().filter((link) => this.#isOwn(link));
  }

  #isOwn({ alias }: LinkInfo): boolean {
    return alias.startsWith(this.#mark);
  }

  /** Returns a link's addresses without link-local ones, which the kernel gives. */
  #addressesAt(wanted: number): InterfaceAddress[] {
    return this.#socket.addresses().filter(({ index, scope }) => index === wanted && scope !== "link");
  }
}

function toHostLink({ index, name, mtu }: LinkInfo): HostLink {
  return { index, name, mtu };
}
