import { readFileSync } from "node:fs";

/**
 * Whether the kernel serves a netlink protocol, in the network namespace of the calling thread: its own socket of it, of port
 * id 0, is listed. To make a socket to find out would load the module.
 * Source: netlink_native_seq_show() in Linux net/netlink/af_netlink.c.
 */
export function isProtocolServed(
  protocol: number,
  list = readFileSync("/proc/thread-self/net/netlink", "utf8"),
): boolean {
  return list.split("\n").some((line) => {
    const [, number, portId] = line.trim().split(/\s+/);
    return number === String(protocol) && portId === "0";
  });
}
