/** IP addresses as numbers, for arithmetic. */
import { findIpAddress, formatIpAddress } from "./ip-address.ts";

export type Family = 4 | 6;

export interface IpAddress {
  family: Family;
  /** The address as a number of 32 or 128 bits. */
  value: bigint;
}

export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Parses "10.0.0.1" or "fd00::1"; undefined for anything else, and for an address with a zone. */
export function parseIp(text: string): IpAddress | undefined {
  const bytes = findIpAddress(text);
  return bytes && { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toHex()}`) };
}

/** Writes an address in its shortest form. */
export function formatIp({ family, value }: IpAddress): string {
  return formatIpAddress(Uint8Array.fromHex(value.toString(16).padStart(bitsOf(family) / 4, "0")));
}
