/** Reads names of reverse lookups. */
import { formatIpAddress } from "../../base/ip-address.ts";

const IPV4_SUFFIX = ".in-addr.arpa";
const IPV6_SUFFIX = ".ip6.arpa";

/**
 * The address that "2.0.18.172.in-addr.arpa" asks about, in its shortest form; undefined for any other name. `name` is in small
 * letters. Sources: RFC 1035 §3.5, RFC 3596 §2.5.
 */
export function addressOfReverseName(name: string): string | undefined {
  if (name.endsWith(IPV4_SUFFIX)) {
    const parts = name.slice(0, -IPV4_SUFFIX.length).split(".");
    if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
      return undefined;
    return parts.reverse().join(".");
  }
  if (!name.endsWith(IPV6_SUFFIX)) return undefined;
  const digits = name.slice(0, -IPV6_SUFFIX.length);
  if (!/^([0-9a-f]\.){31}[0-9a-f]$/.test(digits)) return undefined;
  return formatIpAddress(Buffer.from(digits.split(".").reverse().join(""), "hex"));
}
