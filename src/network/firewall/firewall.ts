/** Keeps the daemon's nftables table as the networks and published ports need it. */
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { parseIpAddress, parseSubnet } from "../../base/ip-address.ts";
import { FIREWALL_REPAIR_PAUSE_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { counter } from "../../base/metrics.ts";
import { familyOf, forgetAddresses, forgetPlainToPort, forgetSubnets } from "../../linux/conntrack/mod.ts";
import { isProtocolServed, type Message, NETLINK, NetlinkSocket, watchNetlink } from "../../linux/netlink/mod.ts";
import {
  deleteElements,
  deleteTable,
  type Element,
  encodeBatch,
  getTable,
  isAboutTable,
  isForwardDrop,
  listChains,
  NFNLGRP_NFTABLES,
  type NftSet,
  newElements,
  newSet,
  newTable,
  parseBaseChain,
  type Table,
} from "../../linux/nftables/mod.ts";
import { canPublishAtLoopback6, type Families } from "../host-settings.ts";
import type { ContainerLink, FirewallNetwork, PortMapping } from "../types.ts";
import { chainMessages } from "./rules.ts";
import { ALL_SETS, type Entry, linkEntry, networkEntries, PROTOCOL_NUMBER, portEntries } from "./sets.ts";

const writes = counter("lighter_firewall_writes_total", "Batches for the table of rules", "kind", [
  "table",
  "elements",
]);
const repairs = counter("lighter_firewall_repairs_total", "How often others had changed the table of rules");

/** Errors of a change which show that the table is not what we made: then all of it is written anew. */
const NOT_OURS_ANY_MORE = ["ENOENT", "EEXIST", "EBUSY"];

const KERNEL_NEEDS = "the kernel needs nf_tables for inet, with nat, masq, ct, fib and sets of ranges";

/**
 * The daemon's table in the network namespace of the thread that made this. Everything is synchronous. Each change is one batch,
 * so packets see the table before it or after it. It knows what the table should hold: if a change finds another table than it
 * left, it writes all of it anew.
 */
export class Firewall implements Disposable {
  readonly #table: Table;
  #openSocket: NetlinkSocket | undefined;
  /** Networks by bridge. */
  readonly #networks = new Map<string, FirewallNetwork>();
  /** Ports by `portKey`. */
  readonly #ports = new Map<string, PortMapping>();
  /** Links by all of their fields. */
  #links: ReadonlyMap<string, ContainerLink> = new Map();
  #guarded: Families = { ipv4: false, ipv6: false };
  #loopback6 = false;
  #exists = false;
  #hasWarned = false;
  #onFlushed: (() => void) | undefined;
  #watch: Disposable | undefined;

  /**
   * Makes nothing yet: a daemon that needs no rules runs where there can be none. `tableName` is that of a table of the family
   * inet that nobody else uses.
   */
  constructor(options: { tableName: string }) {
    this.#table = { family: "inet", name: options.tableName };
  }

  get tableName(): string {
    return this.#table.name;
  }

  /** Called before something is made that needs rules. @throws LighterError ("not-supported") if there can be none */
  check(): void {
    if (!this.#exists) this.#isInKernel();
  }

  /**
   * Makes the table hold exactly this, whether it exists or not.
   * @throws LighterError ("invalid") for a bad address; ("conflict") for a port that is there twice; ("kernel")
   */
  sync(
    networks: readonly FirewallNetwork[],
    ports: readonly PortMapping[],
    links: readonly ContainerLink[] = [],
  ): void {
    checkDistinct(ports);
    this.#links = byKey(links);
    this.#networks.clear();
    this.#ports.clear();
    for (const network of networks) this.#networks.set(network.bridge, network);
    for (const port of ports) this.#ports.set(portKey(port), port);
    this.#write();
  }

  /** Adds a network, replacing that of the same bridge. */
  addNetwork(network: FirewallNetwork): void {
    const added = networkEntries(network);
    const before = this.#networks.get(network.bridge);
    const removed = before === undefined ? [] : networkEntries(before);
    this.#networks.set(network.bridge, network);
    try {
      this.#change(`network ${network.bridge}`, removed, added);
    } catch (error) {
      if (before === undefined) this.#networks.delete(network.bridge);
      else this.#networks.set(network.bridge, before);
      throw error;
    }
  }

  removeNetwork(bridge: string): void {
    const network = this.#networks.get(bridge);
    if (network === undefined) return;
    this.#networks.delete(bridge);
    this.#change(`network ${bridge}`, networkEntries(network), []);
  }

  /** Sets the links; earlier ones end. A repeated one counts once. */
  setLinks(links: readonly ContainerLink[]): void {
    const before = this.#links;
    const after = byKey(links);
    const missingIn = (there: ReadonlyMap<string, ContainerLink>, all: ReadonlyMap<string, ContainerLink>) =>
      [...all].filter(([key]) => !there.has(key)).map(([, link]) => linkEntry(link));
    this.#links = after;
    try {
      this.#change("links", missingIn(after, before), missingIn(before, after));
    } catch (error) {
      this.#links = before;
      throw error;
    }
  }

  /** Publishes all of the ports or none. @throws LighterError ("conflict") for a port that is published already */
  publish(ports: readonly PortMapping[]): void {
    checkDistinct(ports);
    const entries = ports.flatMap(portEntries);
    for (const port of ports) if (this.#ports.has(portKey(port))) throw portTaken(port);
    for (const port of ports) this.#ports.set(portKey(port), port);
    try {
      this.#change("published ports", [], entries);
    } catch (error) {
      for (const port of ports) this.#ports.delete(portKey(port));
      throw error;
    }
    for (const port of ports) this.#forgetSenders(port);
  }

  /** Removes ports, ignoring those that lead elsewhere. Connections go on until `forgetConnections`. */
  unpublish(ports: readonly PortMapping[]): void {
    const published = ports.flatMap((port) => {
      const found = this.#ports.get(portKey(port));
      return found?.address === port.address && found.port === port.port ? [found] : [];
    });
    for (const port of published) this.#ports.delete(portKey(port));
    this.#change("published ports", published.flatMap(portEntries), []);
  }

  /**
   * From now on drops packets between interfaces of others, in the families named: those whose forwarding we turned on, so that a
   * host that was no router does not become one.
   */
  guard(families: Families): void {
    if (families.ipv4 === this.#guarded.ipv4 && families.ipv6 === this.#guarded.ipv6) return;
    this.#guarded = families;
    if (this.#exists) this.#write();
  }

  /** Ends connections to and from containers that have gone: their addresses go to others. */
  forgetConnections(addresses: readonly string[]): void {
    if (this.#exists) forgetAddresses(this.#socket, addresses.map(parseIpAddress));
  }

  /** Ends connections of all the networks' addresses except those in `kept`: of containers that went while nobody looked. */
  forgetConnectionsBut(kept: readonly string[]): void {
    const subnets = [...this.#networks.values()].flatMap((network) => network.subnets.map(parseSubnet));
    forgetSubnets(this.#socket, subnets, kept.map(parseIpAddress));
  }

  /** Removes the table, if it is there. Its content stays known here. */
  remove(): void {
    this.#exists = false;
    if (isProtocolServed(NETLINK.NETFILTER) && this.#isInKernel())
      this.#request([deleteTable(this.#table)], "removing");
  }

  /**
   * Calls `onFlushed` after somebody else has changed or removed the table, or may have; `sync` repairs it. Calls come at once,
   * and then no sooner than FIREWALL_REPAIR_PAUSE_MS after the last: one change may be announced in several pieces, and somebody
   * who undoes each of our repairs must not keep us busy. An error of `onFlushed` is logged.
   */
  watch(onFlushed: () => void): Disposable {
    let pause: Timer | undefined;
    let isDue = false;
    const flushed = () => {
      isDue = pause !== undefined;
      if (isDue) return;
      pause = setTimeout(() => {
        pause = undefined;
        if (isDue) flushed();
      }, FIREWALL_REPAIR_PAUSE_MS);
      repairs.add();
      try {
        onFlushed();
      } catch (error) {
        log.error("the firewall cannot be repaired", { table: this.#table.name, error: messageOf(error) });
      }
    };
    this.#onFlushed = flushed;
    if (this.#exists) this.#beginWatch();
    return {
      [Symbol.dispose]: () => {
        clearTimeout(pause);
        this.#onFlushed = undefined;
        this.#watch?.[Symbol.dispose]();
        this.#watch = undefined;
      },
    };
  }

  /** Starts to watch once there is a table. */
  #beginWatch(): void {
    if (this.#onFlushed === undefined) return;
    this.#watch ??= watchNetlink(
      NETLINK.NETFILTER,
      [NFNLGRP_NFTABLES],
      (messages) => {
        if (messages === "overrun" || messages.some((message) => this.#isByOthers(message))) this.#onFlushed?.();
      },
      { exceptPortId: this.#socket.portId },
    );
  }

  /**
   * Base chains, such as "ip filter FORWARD", that drop by default, so that our containers may reach nobody and nobody them. They
   * are not ours to open.
   */
  forwardDrops(): string[] {
    const chains = this.#socket
      .dump(listChains(), "listing chains of nftables")
      .flatMap((message) => parseBaseChain(message) ?? []);
    return chains.filter(isForwardDrop).map(({ family, table, name }) => `${family} ${table} ${name}`);
  }

  [Symbol.dispose](): void {
    this.#openSocket?.[Symbol.dispose]();
  }

  get #socket(): NetlinkSocket {
    this.#openSocket ??= new NetlinkSocket(NETLINK.NETFILTER);
    return this.#openSocket;
  }

  #isInKernel(): boolean {
    const what = `looking for nftables table "${this.#table.name}"`;
    try {
      return this.#socket.request([getTable(this.#table)], what).length > 0;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      if (errnoOf(error) === "EPERM") throw error;
      const message = `there are no bridges without nftables: ${messageOf(error)}`;
      throw new LighterError("not-supported", message, { hint: KERNEL_NEEDS, cause: error });
    }
  }

  /** Writes the whole table; the old one goes in the same batch. */
  #write(): void {
    const table = this.#table;
    this.#loopback6 = canPublishAtLoopback6();
    const entries = [
      ...[...this.#networks.values()].flatMap(networkEntries),
      ...[...this.#ports.values()].flatMap(portEntries),
      ...[...this.#links.values()].map(linkEntry),
    ];
    const messages = [
      newTable(table), // so that there is one to delete
      deleteTable(table),
      newTable(table),
      ...ALL_SETS.map((set, index) => newSet(table, set, index + 1)),
      ...this.#elementMessages(entries, newElements),
      ...chainMessages(table, { guarded: this.#guarded, loopback6: this.#loopback6 }),
    ];
    writes.add("table");
    try {
      this.#beginWatch();
      this.#request(messages, "writing");
    } catch (error) {
      // ENOENT may also mean a kind of expression that the kernel does not know.
      if (!(error instanceof LighterError) || errnoOf(error) === "EPERM") throw error;
      throw new LighterError(error.code, error.message, { ...error.detail, hint: KERNEL_NEEDS, cause: error });
    }
    this.#exists = true;
    this.#warnOnce();
  }

  /** Warns of other engines' chains: without the warning, a container without network is hard to understand. */
  #warnOnce(): void {
    if (this.#hasWarned || this.#networks.size === 0) return;
    this.#hasWarned = true;
    for (const chain of this.forwardDrops())
      log.warn("packets from and to containers are dropped where this chain of the host does not let them pass", {
        chain,
      });
  }

  #change(what: string, removed: readonly Entry[], added: readonly Entry[]): void {
    if (added.length === 0 && (removed.length === 0 || !this.#exists)) return;
    if (!this.#exists || this.#loopback6 !== canPublishAtLoopback6()) {
      this.#write();
      return;
    }
    const messages = [...this.#elementMessages(removed, deleteElements), ...this.#elementMessages(added, newElements)];
    writes.add("elements");
    try {
      this.#request(messages, `changing ${what} of`);
    } catch (error) {
      if (!NOT_OURS_ANY_MORE.includes(errnoOf(error))) throw error;
      this.#write();
    }
  }

  #elementMessages(entries: readonly Entry[], encode: typeof newElements): Uint8Array[] {
    const bySet = new Map<NftSet, Element[]>();
    for (const { set, element } of entries) {
      const elements = bySet.get(set);
      if (elements === undefined) bySet.set(set, [element]);
      else elements.push(element);
    }
    return [...bySet].flatMap(([set, elements]) => encode(this.#table, set, elements));
  }

  #request(messages: readonly Uint8Array[], what: string): void {
    this.#socket.request(encodeBatch(messages), `${what} nftables table "${this.#table.name}"`);
  }

  /** Whether somebody else sent it. True also for a message that cannot be read. */
  #isByOthers(message: Message): boolean {
    try {
      return message.portId !== this.#socket.portId && isAboutTable(message, this.#table);
    } catch (error) {
      if (errnoOf(error) !== "EBADMSG") throw error;
      return true;
    }
  }

  #forgetSenders(port: PortMapping): void {
    if (port.protocol !== "udp" || port.hostPort === 0) return;
    const address = parseIpAddress(port.hostAddress);
    const isAny = address.every((byte) => byte === 0);
    forgetPlainToPort(this.#socket, {
      family: familyOf(address),
      ...(!isAny && { address }),
      protocol: PROTOCOL_NUMBER.udp,
      port: port.hostPort,
    });
  }
}

function byKey(links: readonly ContainerLink[]): Map<string, ContainerLink> {
  return new Map(
    links.map((link) => [`${link.bridge} ${link.from} ${link.to} ${link.protocol} ${link.port}`, link] as const),
  );
}

function portKey({ protocol, hostAddress, hostPort, address, port }: PortMapping): string {
  return hostPort === 0 ? `${protocol} ${address} ${port} itself` : `${protocol} ${hostAddress} ${hostPort}`;
}

function portTaken({ hostAddress, hostPort, protocol }: PortMapping): LighterError {
  return new LighterError("conflict", `port ${hostPort}/${protocol} of ${hostAddress} leads to a container already`);
}

function checkDistinct(ports: readonly PortMapping[]): void {
  const seen = new Set<string>();
  for (const port of ports) {
    const key = portKey(port);
    if (seen.has(key)) throw portTaken(port);
    seen.add(key);
  }
}
