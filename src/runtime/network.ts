/**
 * Ops for a container's interfaces. The host's side makes them, with their far ends in the container's network namespace; the
 * container's side, which has that namespace, gives them addresses and routes. Nothing is moved or renamed, and with the
 * namespace the kernel removes both ends ([adr/0012]).
 */
import { LighterError } from "../base/errors.ts";
import { inSameNetwork, parseIpAddress } from "../base/ip-address.ts";
import { ADDRESS_INDEX_AT, encodeReplaceAddress } from "../linux/netlink/addresses.ts";
import type { Attribute } from "../linux/netlink/attributes.ts";
import { attr } from "../linux/netlink/attributes.ts";
import {
  checkLinkName,
  encodeGetLink,
  encodeNewLink,
  encodeSetBridgePort,
  encodeSetLink,
  IFLA,
  ipvlanKind,
  LINK_INDEX_AT,
  macvlanKind,
  parseMacAddress,
  vethKind,
} from "../linux/netlink/links.ts";
import { encodeReplaceForwarding, NEIGHBOUR_INDEX_AT } from "../linux/netlink/neighbours.ts";
import { encodeReplaceRoute, type Route, RTA } from "../linux/netlink/routes.ts";
import { resolverRedirect } from "../linux/nftables/mod.ts";
import { type NetlinkRequest, O, type OpList, slot } from "../linux/program/builder.ts";
import type { Arg, Slot } from "../linux/program/op.ts";
import { CLONE, SLOT_INIT } from "./namespaces.ts";
import { PRIVATE_PROC, sysctlPath } from "./proc.ts";
import type { AboveLink, NetworkInterface, NetworkPlan } from "./types.ts";

/** Host side, after the clone: makes the interfaces. The container's side may go on meanwhile up to `awaitNetwork`. */
export function makeNetwork(host: OpList, { interfaces }: NetworkPlan): void {
  for (const wanted of interfaces) makeInterface(host, wanted, { pid: SLOT_INIT });
  if (interfaces.some(({ link }) => link.type !== "veth")) openNamespaceOf(host, slot(SLOT_INIT));
  if (interfaces.length > 0) host.add({ kind: "send", why: "the interfaces are made" });
}

/** In the child, before `configureNetwork`: waits for the interfaces. */
export function awaitNetwork(init: OpList, { interfaces }: NetworkPlan): void {
  if (interfaces.length > 0) init.add({ kind: "receive", why: "wait until the interfaces are made" });
}

/** In the child, which may administer its network namespace: configures the interfaces. */
export function configureNetwork(init: OpList, { interfaces, resolverPort }: NetworkPlan): void {
  for (const wanted of interfaces) configureInterface(init, wanted);
  if (resolverPort !== undefined) redirectResolver(init, resolverPort);
}

/**
 * Takes interfaces off their bridges when the process has ended. An open connection may keep the network namespace for a minute,
 * in which it would go on answering for its address, which may be another container's by then. The link goes with the namespace;
 * removing it here would take 20 ms.
 */
export function unplugNetwork(cleanup: OpList, { interfaces }: NetworkPlan): void {
  const pairs = interfaces.filter(({ link }) => link.type === "veth");
  for (const wanted of pairs) {
    const guard = madeSlot(wanted);
    const message = encodeSetLink(0, { masterIndex: 0 });
    const request = { message, from: [{ at: LINK_INDEX_AT, slot: guard }] };
    cleanup.netlink("route", [request], `unplug ${wanted.name}`, { guard });
  }
  // Must be last: the launcher does not come back from there.
  for (const wanted of interfaces.filter((each) => !pairs.includes(each))) {
    const guard = madeSlot(wanted);
    const { name } = wanted;
    cleanup.call("setns", [slot(NAMESPACE), CLONE.network], `where ${name} is`, { guard });
    cleanup.netlink("route", [{ message: encodeSetLink(name, { isUp: false }) }], `unplug ${name}`, { guard });
  }
}

/** The network namespace in which an interface is made: a slot with a process in it, or with an fd of it. */
type NamespaceOf = { pid: Slot } | { fd: Slot };

/** The slots of our own network namespace and the container's. */
const HOME: Slot = "home";
export const NAMESPACE: Slot = "namespace";

/** Opens a process's network namespace through an fd of the process, since its number may become another's at any time. */
export function openNamespaceOf(host: OpList, pid: Arg): void {
  host.open("/proc/self/ns/net", O.RDONLY, HOME, "our own network namespace");
  host.call("pidfd_open", [pid, 0], "the container's init", { out: "container" });
  host.call("setns", [slot("container"), CLONE.network], "enter the container's network namespace");
  host.open("/proc/self/ns/net", O.RDONLY, NAMESPACE, "the container's network namespace");
  host.call("setns", [slot(HOME), CLONE.network], "back to our own");
}

/** The slot that is set once we have made the interface; for a pair, to the index of the host's end. */
export function madeSlot({ name }: NetworkInterface): Slot {
  return `made ${name}`;
}

/**
 * Host side: makes an interface. @throws LighterError ("invalid") with the field's name, for a value that the kernel would refuse
 */
export function makeInterface(host: OpList, wanted: NetworkInterface, namespace: NamespaceOf): void {
  const { name, link, mtu } = wanted;
  checkLinkName(name);
  const inNamespace = attr.u32("pid" in namespace ? IFLA.NET_NS_PID : IFLA.NET_NS_FD, 0);
  const sizes = mtu === 0 ? [] : [attr.u32(IFLA.MTU, mtu)];
  const address = wanted.macAddress === "" ? [] : [attr.bytes(IFLA.ADDRESS, parseMacAddress(wanted.macAddress))];
  const own = [...address, ...sizes, inNamespace];
  const places = new Map<Attribute, number>();
  const message =
    link.type === "veth"
      ? encodeNewLink(link.hostName, [attr.u32(IFLA.MASTER, link.bridgeIndex), ...sizes, vethKind(name, own)], places)
      : encodeNewLink(name, [attr.u32(IFLA.LINK, link.parentIndex), ...own, kindOf(link)], places);
  const of = "pid" in namespace ? namespace.pid : namespace.fd;
  const make: NetlinkRequest = { message, from: [{ at: places.get(inNamespace)!, slot: of }] };
  if (link.type !== "veth") {
    host.netlink("route", [make], `interface ${name}, above one of the host's`, { out: madeSlot(wanted) });
    return;
  }
  const why = `interface ${name}, and its other end on the host`;
  // Gets the index that the kernel gave it, for calls that take no name.
  host.netlink("route", [make, { message: encodeGetLink(link.hostName) }], why, { out: madeSlot(wanted) });
  setPort(host, wanted, link, madeSlot(wanted));
}

function kindOf(link: AboveLink): Attribute {
  return link.type === "macvlan" ? macvlanKind(link.mode) : ipvlanKind(link.mode, link.flag);
}

/**
 * Tells the bridge at which port the container's address is, for as long as the port exists; the bridge learns no address at it.
 * So a restarted container is reached at once, and no other can pull its frames to itself. Frames for other addresses at the port
 * are flooded to it.
 */
function setPort(
  host: OpList,
  { macAddress, name }: NetworkInterface,
  { hairpin, isolated }: NetworkInterface["link"] & { type: "veth" },
  port: Slot,
): void {
  const of = (message: Uint8Array, at: number): NetlinkRequest => ({ message, from: [{ at, slot: port }] });
  host.netlink(
    "route",
    [of(encodeSetLink(0, { withoutLinkLocal: true }), LINK_INDEX_AT)],
    `the bridge's port of ${name} has no address of IPv6`,
    { tolerate: ["EAFNOSUPPORT"] }, // the kernel lacks IPv6, or the link's packets are too short for it
  );
  host.netlink(
    "route",
    [
      of(encodeSetBridgePort(0, { hairpin, isolated, learning: false }), LINK_INDEX_AT),
      of(encodeReplaceForwarding(0, macAddress), NEIGHBOUR_INDEX_AT),
      of(encodeSetLink(0, { isUp: true }), LINK_INDEX_AT),
    ],
    `the bridge's port of ${name}`,
  );
}

/** Configures an existing interface, from inside the container's network namespace and with the right to administer it. */
export function configureInterface(ops: OpList, wanted: NetworkInterface): void {
  const { addresses, link, macAddress, name } = wanted;
  const index: Slot = `interface ${name}`;
  const of = (message: Uint8Array, at: number): NetlinkRequest => ({ message, from: [{ at, slot: index }] });
  ops.netlink("route", [{ message: encodeGetLink(name) }], `interface ${name}`, { out: index });
  // It has its parent's address, whatever was asked for. The parent shares it until the interface has gone.
  if (link.type === "macvlan" && link.mode === "passthru")
    ops.netlink("route", [of(encodeSetLink(0, { macAddress }), LINK_INDEX_AT)], `address of ${name}`);
  writeInterfaceSysctls(ops, wanted);
  if (addresses.length > 0)
    ops.netlink(
      "route",
      addresses.map((address) => of(encodeReplaceAddress(0, address), ADDRESS_INDEX_AT)),
      `addresses of ${name}`,
    );
  ops.netlink("route", [of(encodeSetLink(0, { isUp: true }), LINK_INDEX_AT)], `bring ${name} up`);
  const routes = routesOf(wanted).map((route) => routeThrough(index, route));
  if (routes.length > 0) ops.netlink("route", routes, `routes by ${name}`);
}

export function routeThrough(index: Slot, route: Route): NetlinkRequest {
  const places = new Map<Attribute, number>();
  const oif = attr.u32(RTA.OIF, 0);
  const message = encodeReplaceRoute(route, oif, places);
  return { message, from: [{ at: places.get(oif)!, slot: index }] };
}

/** In the container's network namespace: sends queries to 127.0.0.11, port 53, to another port of that address. */
export function redirectResolver(ops: OpList, port: number): void {
  const requests = resolverRedirect(port).map((message) => ({ message }));
  ops.netlink("netfilter", requests, "lead name queries to the resolver");
}

/** Sets the interface's sysctls before it is up: once up, it would give itself addresses and listen to routers. */
function writeInterfaceSysctls(ops: OpList, { name, addresses, sysctls = {} }: NetworkInterface): void {
  const ipv6 = `sys/net/ipv6/conf/${name}`;
  if (addresses.some(({ address }) => address.includes(":"))) {
    ops.write(PRIVATE_PROC, `${ipv6}/disable_ipv6`, "0", `${name} has IPv6`);
    ops.write(PRIVATE_PROC, `${ipv6}/accept_ra`, "0", `${name} takes nothing from routers`);
  } else {
    const tolerate = ["ENOENT"]; // the kernel may lack IPv6
    ops.write(PRIVATE_PROC, `${ipv6}/disable_ipv6`, "1", `${name} has no IPv6`, { tolerate });
  }
  for (const [key, value] of Object.entries(sysctls)) {
    const parts = sysctlPath(key).split("/");
    if (parts[0] !== "net" || !parts.includes("IFNAME") || typeof value !== "string" || /[\n\0]/.test(value))
      throw new LighterError(
        "invalid",
        `sysctl "${key}" of ${name}: not a setting of an interface, as net.ipv4.conf.IFNAME.forwarding is`,
      );
    const path = parts.map((part) => (part === "IFNAME" ? name : part)).join("/");
    ops.write(PRIVATE_PROC, `sys/${path}`, value, `sysctl ${key} of ${name}`);
  }
}

/** The routes in order: a gateway that is on none of the interface's networks is first made reachable. */
function routesOf({ addresses, gateways, routes = [] }: NetworkInterface): Route[] {
  const onLink = (gateway: string) =>
    isNoRouter(gateway) || addresses.some((address) => inSameNetwork(address, gateway));
  const toGateways = gateways
    .filter((gateway) => !onLink(gateway))
    .map((gateway) => ({ destination: `${gateway}/${parseIpAddress(gateway).length * 8}` }));
  return [
    ...toGateways,
    ...routes.map(({ destination, via }) => ({ destination, ...(via === undefined ? {} : { gateway: via }) })),
    ...gateways.map(defaultRoute),
  ];
}

/** Whether a gateway is "0.0.0.0" or "::", which name no router. */
export function isNoRouter(gateway: string): boolean {
  return parseIpAddress(gateway).every((byte) => byte === 0);
}

/** A default route: through a router, or on the link itself. */
export function defaultRoute(gateway: string): Route {
  return isNoRouter(gateway) ? { destination: `${gateway}/0` } : { destination: "default", gateway };
}
