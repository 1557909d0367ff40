/** Makes and parses MAC addresses. */
import { randomBytes } from "node:crypto";
import { parseIpAddress } from "../../base/ip-address.ts";
import { formatIp, type IpAddress } from "../../base/ip-number.ts";
import { formatMacAddress } from "../../linux/netlink/mod.ts";

/** The first bytes of every MAC address that Docker makes: locally administered, unicast. */
const PREFIX = [0x02, 0x42];

/**
 * A MAC address made of the IPv4 address, so that the next owner of that address has the MAC that its neighbours know. Without an
 * IPv4 address it is random.
 */
export function macAddressFor(ipv4: IpAddress | undefined): string {
  if (ipv4 === undefined) return formatMacAddress(Uint8Array.of(...PREFIX, ...randomBytes(4)));
  return formatMacAddress(Uint8Array.of(...PREFIX, ...parseIpAddress(formatIp(ipv4))));
}

/** Writes a MAC address with colons and small letters; undefined unless it is one of six bytes. Source: Go's net.ParseMAC. */
export function parseMac(text: string): string | undefined {
  const bytes =
    /^([0-9a-f]{2})([:-])([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})$/i.exec(text) ??
    /^([0-9a-f]{2})([0-9a-f]{2})(\.)([0-9a-f]{2})([0-9a-f]{2})\.([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  return bytes
    ?.slice(1)
    .filter((part) => part.length === 2)
    .join(":")
    .toLowerCase();
}
