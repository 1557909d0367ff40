/**
 * Connections that the kernel is to forget. Any list of them costs a walk through the kernel's whole hash table, 4 ms of
 * 262,144 buckets, and what it lists some 3 µs each; to delete by a filter costs 0.2 ms, as empty buckets are not locked then.
 * So of few addresses there is no list, where the kernel knows filters, and else one list rather than several where there
 * are few connections. A bridge that says which multicast groups it is in is a connection, too: there nearly always is one.
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

/** More are listed for each address, filtered by the kernel. */
const FEW_CONNECTIONS = 2000;
/** To delete those of so many by filters costs as much as one list. */
const FEW_ADDRESSES = 10;
const DIRECTIONS = ["original", "reply"] as const;

/** `socket`, here and below, is of NETLINK.NETFILTER. */
function countConnections(socket: NetlinkSocket): number {
  const [answer] = socket.request([askCount()], "counting connections");
  return answer === undefined ? 0 : parseCount(answer);
}

/** Those of the list that are wanted. */
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

/** Connections to and from these addresses, of containers that have gone: whoever gets one next is not to hear of them. */
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

/** False: the kernel cannot. */
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

/** Connections to and from the subnets' addresses, but for those in `kept`. One list of all that the host has. */
export function forgetSubnets(socket: NetlinkSocket, subnets: readonly Subnet[], kept: readonly Uint8Array[]): void {
  if (subnets.length === 0 || countConnections(socket) === 0) return;
  const keptKeys = new Set(kept.map(String));
  const isLeft = (address: Uint8Array) =>
    subnets.some((subnet) => inSubnet(subnet, address)) && !keptKeys.has(String(address));
  forget(socket, listAll(), ({ original, reply }) => isLeft(original.source) || isLeft(reply.source));
}

/**
 * Connections to a port that nobody has changed the ends of. For ports of UDP: who goes on sending has a connection for the
 * kernel, which would never look at a port that was published meanwhile. `address`: undefined is every one of `family`.
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
