import { expect, test } from "bun:test";
import { Random } from "../../tests/support/random.ts";
import { contains, firstOf, formatCidr, lastOf, masked, overlaps, parseCidr } from "./cidr.ts";
import { inSubnet, lastAddress, parseIpAddress, parseSubnet } from "./ip-address.ts";
import { bitsOf, type Family, formatIp, type IpAddress } from "./ip-number.ts";

test("a range is an address and the length of its prefix, and nothing else", () => {
  expect(parseCidr("10.1.2.3/8")).toEqual({ family: 4, value: 0x0a010203n, prefixLength: 8 });
  expect(parseCidr("fd00::/128")?.prefixLength).toBe(128);
  const bad = [
    "",
    "/",
    "10.0.0.0",
    "10.0.0.0/",
    "/8",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0.0/08",
    "10.0.0.0/255.0.0.0",
  ];
  for (const text of [...bad, "10.0.0.0/8/8", "10.0.0.0/-1", " 10.0.0.0/8", "fe80::1%eth0/64"])
    expect([text, parseCidr(text)]).toEqual([text, undefined]);
});

test("bytes and numbers agree about any network and any address", () => {
  const random = Random.fromEnvironment("networks");
  const anyAddress = (family: Family): IpAddress => {
    let value = 0n;
    for (let bits = 0; bits < bitsOf(family); bits += 16) {
      const group = random.pick([0, 0, 0xffff, random.below(0x10000)]);
      value = (value << 16n) | BigInt(group);
    }
    return { family, value };
  };
  for (let round = 0; round < 2000; round++) {
    const family = random.pick([4, 6] as const);
    const cidr = { ...anyAddress(family), prefixLength: random.below(bitsOf(family) + 1) };
    const network = masked(cidr);
    const subnet = parseSubnet(formatCidr(network));
    expect(parseCidr(formatCidr(cidr))).toEqual(cidr);
    expect(parseIpAddress(formatIp({ family, value: lastOf(cidr) }))).toEqual(lastAddress(subnet));
    const near = { family, value: random.pick([firstOf(cidr), lastOf(cidr), cidr.value]) };
    for (const address of [anyAddress(4), anyAddress(6), near])
      expect(contains(cidr, address)).toBe(inSubnet(subnet, parseIpAddress(formatIp(address))));
    expect(contains(cidr, near)).toBe(true);
    expect(overlaps(cidr, { ...near, prefixLength: random.below(bitsOf(family) + 1) })).toBe(true);
  }
});
