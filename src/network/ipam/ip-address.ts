/** IP addresses as numbers, for arithmetic. */
import { isIP } from "node:net";
import { formatIpAddress, parseIpAddress } from "../../base/ip-address.ts";

export type Family = 4 | 6;

export interface IpAddress {
  family: Family;
  /** Of 32 or 128 bits. */
  value: bigint;
}

export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** "10.0.0.1", "fd00::1"; undefined for anything else, and for an address with a zone. */
export function parseIp(text: string): IpAddress | undefined {
  if (isIP(text) === 0 || text.includes("%")) return undefined;
  const bytes = parseIpAddress(text);
  return { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toHex()}`) };
}

/** In the shortest form. */
export function formatIp({ family, value }: IpAddress): string {
  return formatIpAddress(Uint8Array.fromHex(value.toString(16).padStart(bitsOf(family) / 4, "0")));
}
