/** Networks as numbers: parsing, comparing, counting. */
import { bitsOf, formatIp, type IpAddress, parseIp } from "./ip-number.ts";

/** The addresses with the same first bits. `value` may have host bits if it stands for one address with its network's prefix. */
export interface Cidr extends IpAddress {
  prefixLength: number;
}

/** Parses "10.0.0.0/8"; undefined for anything else. A mask in dots is refused, as in Go. */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = "", length = ""] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const ip = parseIp(address);
  if (ip === undefined || Number(length) > bitsOf(ip.family)) return undefined;
  return { ...ip, prefixLength: Number(length) };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr)}/${cidr.prefixLength}`;
}

/** The number of addresses in the network. */
export function sizeOf({ family, prefixLength }: Cidr): bigint {
  return 1n << BigInt(bitsOf(family) - prefixLength);
}

/** The network without host bits. */
export function masked(cidr: Cidr): Cidr {
  return { ...cidr, value: (cidr.value / sizeOf(cidr)) * sizeOf(cidr) };
}

export function firstOf(cidr: Cidr): bigint {
  return masked(cidr).value;
}

export function lastOf(cidr: Cidr): bigint {
  return firstOf(cidr) + sizeOf(cidr) - 1n;
}

export function contains(cidr: Cidr, { family, value }: IpAddress): boolean {
  return family === cidr.family && value >= firstOf(cidr) && value <= lastOf(cidr);
}

/** Whether two networks have an address in common, which means that one contains the other. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  const [wide, narrow] = a.prefixLength <= b.prefixLength ? [a, b] : [b, a];
  return contains(wide, masked(narrow));
}
