import { randomBytes } from "node:crypto";
import type { IpAddress } from "./ip-address.ts";

/** "02:42" begins every one that Docker makes: locally administered, unicast. */
const PREFIX = [0x02, 0x42];

/** Made of the IPv4 address, so that whoever gets that address gets the MAC its neighbours know; else at random. */
export function macAddressFor(ipv4: IpAddress | undefined): string {
  if (ipv4 === undefined) return formatMac([...PREFIX, ...randomBytes(4)]);
  return formatMac([...PREFIX, ...[24n, 16n, 8n, 0n].map((shift) => Number((ipv4.value >> shift) & 0xffn))]);
}

function formatMac(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** With colons and small letters; undefined for what is no address of six bytes. Source: Go's net.ParseMAC. */
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
