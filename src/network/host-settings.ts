/**
 * The few settings of the host's network that containers need, in the calling thread's network namespace.
 * Source: Linux Documentation/networking/ip-sysctl.rst.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../base/errors.ts";
import { parseIpAddress } from "../base/ip-address.ts";
import { attr, encodeMessage, NETLINK, NetlinkSocket, NLM_F } from "../linux/netlink/mod.ts";
import type { PortMapping } from "./types.ts";

const SYSCTL_ROOT = "/proc/sys/net";

/** The families of addresses for which something holds, such as forwarding. */
export interface Families {
  ipv4: boolean;
  ipv6: boolean;
}

/** Reads a setting; undefined if the kernel does not have it, for instance without IPv6. */
function readSetting(path: string): string | undefined {
  try {
    return readFileSync(join(SYSCTL_ROOT, path), "utf8").trim();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes a setting unless it has the value already: a read-only /proc/sys that somebody prepared is fine. */
function writeSetting(path: string, value: string): void {
  if (readSetting(path) !== value) writeFileSync(join(SYSCTL_ROOT, path), value);
}

const FORWARDING = { ipv4: "ipv4/ip_forward", ipv6: "ipv6/conf/all/forwarding" } as const;
const FAMILIES = ["ipv4", "ipv6"] as const;

/**
 * Turns forwarding on in the wanted families. Returns the families in which the host did not forward before us, now or before an
 * earlier daemon: a host that was no router must not become one between interfaces of others, so the firewall guards these
 * (`Firewall.guard`).
 *
 * `memoryPath` is a file that remembers this, in a directory that a boot empties as it resets the settings. It is written first:
 * a daemon that dies in between does not find forwarding on and take it for somebody else's doing.
 */
export function enableForwarding(wanted: Families, memoryPath: string): Families {
  const ours = readMemory(memoryPath);
  const missing = FAMILIES.filter((family) => wanted[family] && readSetting(FORWARDING[family]) === "0");
  const remembered = { ipv4: ours.ipv4 || missing.includes("ipv4"), ipv6: ours.ipv6 || missing.includes("ipv6") };
  if (remembered.ipv4 !== ours.ipv4 || remembered.ipv6 !== ours.ipv6)
    writeFileSync(memoryPath, `${FAMILIES.filter((family) => remembered[family]).join(" ")}\n`);
  for (const family of missing) {
    if (family === "ipv6") keepRouterAdvertisements();
    writeFileSync(join(SYSCTL_ROOT, FORWARDING[family]), "1");
  }
  return remembered;
}

function readMemory(path: string): Families {
  try {
    const words = readFileSync(path, "utf8").trim().split(" ");
    return { ipv4: words.includes("ipv4"), ipv6: words.includes("ipv6") };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { ipv4: false, ipv6: false };
    throw error;
  }
}

/**
 * Keeps IPv6 autoconfiguration. A host that forwards IPv6 ignores routers' announcements, unless an interface says "2": so
 * interfaces that accept them (1) get that.
 */
function keepRouterAdvertisements(): void {
  const names = readdirSync(join(SYSCTL_ROOT, "ipv6/conf")).filter((name) => !["all", "default", "lo"].includes(name));
  for (const name of names)
    if (readSetting(`ipv6/conf/${name}/accept_ra`) === "1") writeSetting(`ipv6/conf/${name}/accept_ra`, "2");
}

/**
 * The group of interfaces (IFLA_GROUP) in which bridges of all our daemons are, so that their firewalls know one another's. The
 * number is the first letters of our name.
 */
export const BRIDGE_GROUP = 0x4c69;

/**
 * Sets what a bridge of ours needs, and brings it up.
 *
 * `loopback`: see `routeLoopback`. Containers are no routers for the host. Nobody else has the bridge's addresses, so there is no
 * probe, which would take seconds. Without an IPv6 subnet, IPv6 is turned off: otherwise containers would reach the host by a
 * link-local address that nobody thought of.
 */
export function startBridge(
  bridge: { name: string; index: number },
  options: { ipv6: boolean; loopback: boolean },
): void {
  const { name, index } = bridge;
  routeLoopback(name, options.loopback);
  const hasIpv6 = readSetting(`ipv6/conf/${name}/disable_ipv6`) !== undefined;
  if (hasIpv6) {
    writeSetting(`ipv6/conf/${name}/accept_ra`, "0");
    writeSetting(`ipv6/conf/${name}/accept_dad`, "0");
    writeSetting(`ipv6/conf/${name}/disable_ipv6`, options.ipv6 ? "0" : "1");
  }
  using socket = new NetlinkSocket(NETLINK.ROUTE);
  socket.request([encodeUp(index)], `bring up bridge ${name}`);
  if (!hasIpv6 || !options.ipv6) return;
  try {
    socket.request([encodeLoopbackRoute(index)], `let ::1 lead to bridge ${name}`);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

/**
 * Lets 127.0.0.1 of the host lead to containers of the bridge: packets with that address may leave and come back by it. The
 * firewall drops those that a container forges; but if somebody clears it while there is no daemon, they would reach what listens
 * on the host's loopback only. So it is on only while a port is published there.
 */
export function routeLoopback(bridge: string, isOn: boolean): void {
  const path = `ipv4/conf/${bridge}/route_localnet`;
  if (readSetting(path) !== undefined) writeSetting(path, isOn ? "1" : "0");
}

export function isAtLoopback({ hostAddress, hostPort }: Pick<PortMapping, "hostAddress" | "hostPort">): boolean {
  return hostPort !== 0 && (hostAddress === "0.0.0.0" || hostAddress.startsWith("127."));
}

/**
 * Lets containers of a bridge with isolated ports reach each other through the host, as far as the firewall allows: the host
 * answers for their addresses (RFC 3069), at once.
 */
export function forwardWithin(bridge: string, isOn: boolean): void {
  const path = `ipv4/conf/${bridge}/proxy_arp_pvlan`;
  if (readSetting(path) === undefined) return; // the bridge does not exist yet
  if (isOn) writeSetting(`ipv4/neigh/${bridge}/proxy_delay`, "0");
  writeSetting(path, isOn ? "1" : "0");
}

function encodeUp(index: number): Uint8Array {
  const RTM_SETLINK = 19;
  const IFLA_GROUP = 27;
  const IFF_UP = 1;
  const header = new DataView(new ArrayBuffer(16)); // struct ifinfomsg
  header.setInt32(4, index, true);
  header.setUint32(8, IFF_UP, true);
  header.setUint32(12, IFF_UP, true);
  return encodeMessage({
    type: RTM_SETLINK,
    flags: NLM_F.ACK,
    header: new Uint8Array(header.buffer),
    attributes: [attr.u32(IFLA_GROUP, BRIDGE_GROUP)],
  });
}

/**
 * Encodes a route that is for IPv6 what `route_localnet` is for IPv4: the host accepts an answer to its ::1 that comes in by the
 * bridge. The kernel looks for a local route by that interface (rt6_need_strict() in net/ipv6/route.c). Everything else finds
 * loopback's own route first, since its metric is 0; there cannot be two with one metric.
 */
function encodeLoopbackRoute(index: number): Uint8Array {
  const RTM_NEWROUTE = 24;
  const [AF_INET6, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL] = [10, 255, 4, 254, 2];
  const header = Uint8Array.of(
    AF_INET6,
    128,
    0,
    0,
    RT_TABLE_LOCAL,
    RTPROT_STATIC,
    RT_SCOPE_HOST,
    RTN_LOCAL,
    0,
    0,
    0,
    0,
  );
  const [RTA_DST, RTA_OIF, RTA_PRIORITY] = [1, 4, 6];
  const attributes = [
    attr.bytes(RTA_DST, parseIpAddress("::1")),
    attr.u32(RTA_OIF, index),
    attr.u32(RTA_PRIORITY, 1024 + index),
  ];
  return encodeMessage({ type: RTM_NEWROUTE, flags: NLM_F.CREATE | NLM_F.EXCL | NLM_F.ACK, header, attributes });
}

/**
 * Whether published ports can be reached at ::1. They cannot where bridges pass IPv6 packets through the firewall before the host
 * gets them: an answer to ::1 then has that address again, and the host takes no such packet from an interface (ip6_rcv_core() in
 * net/ipv6/ip6_input.c).
 */
export function canPublishAtLoopback6(): boolean {
  return readSetting("bridge/bridge-nf-call-ip6tables") !== "1";
}
