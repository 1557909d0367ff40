/**
 * Makes the kernel forget connections. Any list of them costs a walk through the kernel's whole hash table, 4 ms for 262,144
 * buckets, and some 3 µs for each entry. Deleting by a filter costs 0.2 ms, since empty buckets are then not locked. So for few
 * addresses nothing is listed, if the kernel has filters; otherwise one list is better than several if there are few connections.
 * There is nearly always one: a bridge's announcement of its multicast groups is a connection, too.
 */
import { errnoOf } from "../../base/errors.ts";
import { inSubnet, type Subnet } from "../../base/ip-address.ts";
import type { NetlinkSocket } from "../netlink/mod.ts";
import {
  askCount,
  type Connection,
  deleteConnection,
  deleteFrom,
  familyOf,
  listAll,
  listFrom,
  listToPort,
  parseConnection,
  parseCount,
} from "./messages.ts";

export { familyOf };

/** With more connections than this, the kernel lists them for each address by a filter. */
const FEW_CONNECTIONS = 2000;
/** Deleting by filters costs as much as one list at this number of addresses. */
const FEW_ADDRESSES = 10;
const DIRECTIONS = ["original", "reply"] as const;

/** The number of connections. `socket`, here and below, is of NETLINK.NETFILTER. */
function countConnections(socket: NetlinkSocket): number {
  const [answer] = socket.request([askCount()], "counting connections");
  return answer === undefined ? 0 : parseCount(answer);
}

/** Deletes the wanted connections of a list. */
function forget(socket: NetlinkSocket, list: Uint8Array, isWanted: (connection: Connection) => boolean): void {
  for (const message of socket.dump(list, "listing connections")) {
    const connection = parseConnection(message);
    if (connection === undefined || !isWanted(connection)) continue;
    try {
      socket.request([deleteConnection(connection)], "forgetting a connection");
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error; // it has ended meanwhile
    }
  }
}

/**
 * Forgets connections to and from these addresses of containers that have gone: an address's next owner must not hear of them.
 */
export function forgetAddresses(socket: NetlinkSocket, addresses: readonly Uint8Array[]): void {
  const total = countConnections(socket);
  if (total === 0) return;
  if ((addresses.length <= FEW_ADDRESSES || total > FEW_CONNECTIONS) && deleteByFilter(socket, addresses)) return;
  const wanted = new Set(addresses.map(String));
  const isWanted = ({ original, reply }: Connection) =>
    wanted.has(String(original.source)) || wanted.has(String(reply.source));
  if (total <= FEW_CONNECTIONS) forget(socket, listAll(), isWanted);
  else
    for (const address of addresses)
      for (const direction of DIRECTIONS) forget(socket, listFrom(address, direction), isWanted);
}

/** Deletes by filter; false if the kernel cannot. */
function deleteByFilter(socket: NetlinkSocket, addresses: readonly Uint8Array[]): boolean {
  const messages = addresses.flatMap((address) => DIRECTIONS.map((direction) => deleteFrom(address, direction)));
  try {
    if (messages.length > 0) socket.request(messages, "forgetting connections");
    return true;
  } catch (error) {
    if (errnoOf(error) === "EINVAL") return false;
    throw error;
  }
}

/** Forgets connections to and from the subnets' addresses, except those in `kept`, by one list of all connections. */
export function forgetSubnets(socket: NetlinkSocket, subnets: readonly Subnet[], kept: readonly Uint8Array[]): void {
  if (subnets.length === 0 || countConnections(socket) === 0) return;
  const keptKeys = new Set(kept.map(String));
  const isLeft = (address: Uint8Array) =>
    subnets.some((subnet) => inSubnet(subnet, address)) && !keptKeys.has(String(address));
  forget(socket, listAll(), ({ original, reply }) => isLeft(original.source) || isLeft(reply.source));
}

/**
 * Forgets connections to a port whose ends nobody has changed. This is for UDP: a sender that goes on sending has a connection in
 * the kernel, which would never notice that the port was published meanwhile. An undefined `address` stands for all of `family`.
 */
export function forgetPlainToPort(
  socket: NetlinkSocket,
  wanted: { family: number; address?: Uint8Array; protocol: number; port: number },
): void {
  if (countConnections(socket) === 0) return;
  const { family, address, protocol, port } = wanted;
  forget(socket, listToPort(family, protocol, port), ({ original, isPlain }) => {
    if (!isPlain || original.protocol !== protocol || original.destinationPort !== port) return false;
    return address === undefined || Buffer.compare(original.destination, address) === 0;
  });
}
