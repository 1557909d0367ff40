/** IP addresses as text. Not node:net, whose import alone takes two milliseconds of every `run`. */

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

/** Whether `text` is an IPv4 address, or an IPv6 address without a zone. (RFC 4291 §2.2) */
export function isIp(text: string): boolean {
  return IPV4.test(text) || isIpv6(text);
}

function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const last = groups.at(-1) ?? "";
  // The last two groups may be written as an IPv4 address.
  const mapped = last.includes(".") && !text.endsWith(":");
  if (mapped && !IPV4.test(last)) return false;
  const hex = mapped ? groups.slice(0, -1) : groups;
  if (!hex.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  const count = hex.length + (mapped ? 2 : 0);
  return halves.length === 2 ? count <= 7 : count === 8;
}
