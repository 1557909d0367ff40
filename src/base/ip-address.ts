/** IP addresses as texts and as bytes in network order: 4 bytes for IPv4, 16 for IPv6. */
import { LighterError } from "./errors.ts";

const IPV6_BYTES = 16;

/** The bytes of an address; undefined for anything else, and for an IPv6 address with a zone ("%eth0"). */
export function findIpAddress(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes = text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
  return bytes && Uint8Array.from(bytes);
}

/** Parses an address as `findIpAddress` does. @throws LighterError ("invalid") if there is none */
export function parseIpAddress(text: string): Uint8Array<ArrayBuffer> {
  const bytes = findIpAddress(text);
  if (bytes === undefined) throw new LighterError("invalid", `"${text}" is not an IP address`);
  return bytes;
}

export function isIpAddress(text: string): boolean {
  return findIpAddress(text) !== undefined;
}

// Not `isIP` of node:net: to import that takes 2 ms of every command's start.

function ipv4Bytes(text: string): number[] | undefined {
  const parts = text.split(".");
  const areNumbers = parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
  return parts.length === 4 && areNumbers ? parts.map(Number) : undefined;
}

function ipv6Bytes(text: string): number[] | undefined {
  const [head = "", tail, ...more] = text.split("::");
  const before = groupBytes(head, tail === undefined);
  if (tail === undefined) return before?.length === IPV6_BYTES ? before : undefined;
  const after = groupBytes(tail, true);
  if (before === undefined || after === undefined || more.length > 0) return undefined;
  const zeros = IPV6_BYTES - before.length - after.length;
  return zeros < 2 ? undefined : [...before, ...new Array<number>(zeros).fill(0), ...after];
}

/** The bytes of "1:2:3", or of "ffff:192.0.2.1" at the end of an address; none for "". */
function groupBytes(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    const value = Number.parseInt(group, 16);
    if (/^[0-9a-f]{1,4}$/i.test(group)) bytes.push(value >>> 8, value & 0xff);
    else {
      const embedded = isEnd && index === groups.length - 1 ? ipv4Bytes(group) : undefined;
      if (embedded === undefined) return undefined;
      bytes.push(...embedded);
    }
  }
  return bytes;
}

/** Writes an address in its shortest form (RFC 5952). */
export function formatIpAddress(bytes: Uint8Array): string {
  if (bytes.length !== IPV6_BYTES) return bytes.join(".");
  const isMapped = bytes.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
  if (isMapped) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index]! << 8) | bytes[2 * index + 1]!);
  const { start, length } = longestZeros(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** The first of the longest runs of zero groups. */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; ) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
    start = end + 1;
  }
  return best;
}

/** A range of addresses. The bits of `address` after `prefixLength` are zero. */
export interface Subnet {
  address: Uint8Array<ArrayBuffer>;
  prefixLength: number;
}

/** Parses "172.18.0.0/16". @throws LighterError ("invalid"), also for bits after the prefix */
export function parseSubnet(text: string): Subnet {
  const [, addressText = "", digits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (digits === "") throw new LighterError("invalid", `"${text}" is not a subnet, as 172.18.0.0/16 is`);
  const address = parseIpAddress(addressText);
  const prefixLength = Number(digits);
  if (prefixLength > address.length * 8)
    throw new LighterError("invalid", `"${text}" has a prefix longer than its address`);
  if (address.some((byte, index) => (byte & hostBits(prefixLength, index)) !== 0))
    throw new LighterError("invalid", `"${text}" has bits behind its prefix`);
  return { address, prefixLength };
}

export function lastAddress({ address, prefixLength }: Subnet): Uint8Array<ArrayBuffer> {
  return address.map((byte, index) => byte | hostBits(prefixLength, index));
}

/** Whether `other` is in the network that the first address and its prefix name. Addresses of two families never are. */
export function inSameNetwork(first: { address: string; prefixLength: number }, other: string): boolean {
  return inSubnet({ ...first, address: parseIpAddress(first.address) }, parseIpAddress(other));
}

/** Whether an address is in a subnet. Bits of the subnet's address after its prefix do not count. */
export function inSubnet({ address, prefixLength }: Subnet, other: Uint8Array): boolean {
  const differs = (byte: number, index: number) =>
    ((byte ^ other[index]!) & ~hostBits(prefixLength, index) & 0xff) !== 0;
  return address.length === other.length && !address.some(differs);
}

/** A mask of the host bits in byte `index` of an address. */
function hostBits(prefixLength: number, index: number): number {
  return 0xff >> Math.min(8, Math.max(0, prefixLength - 8 * index));
}
