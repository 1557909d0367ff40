/** IP addresses as numbers, for arithmetic. */
import { findIpAddress, formatIpAddress } from "./ip-address.ts";

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
  const bytes = findIpAddress(text);
  return bytes && { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toHex()}`) };
}

/** In the shortest form. */
export function formatIp({ family, value }: IpAddress): string {
  return formatIpAddress(Uint8Array.fromHex(value.toString(16).padStart(bitsOf(family) / 4, "0")));
}
