/** Tells which netlink protocols the kernel serves. */
import { readFileSync } from "node:fs";

/**
 * Whether the kernel serves a netlink protocol in the calling thread's network namespace: if so, its own socket, with port id 0,
 * is listed. Opening a socket to find out would load the module.
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
