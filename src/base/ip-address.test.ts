import { expect, test } from "bun:test";
import { isIP } from "node:net";
import { formatIpAddress, inSameNetwork, lastAddress, parseIpAddress, parseSubnet } from "./ip-address.ts";

const hex = (text: string) => Buffer.from(parseIpAddress(text)).toString("hex");

test("addresses of both families are bytes in network order", () => {
  expect(hex("192.0.2.255")).toBe("c00002ff");
  expect(hex("::")).toBe("0".repeat(32));
  expect(hex("::1")).toBe(`${"0".repeat(31)}1`);
  expect(hex("fd00:1::")).toBe(`fd000001${"0".repeat(24)}`);
  expect(hex("1:2:3:4:5:6:7:8")).toBe("00010002000300040005000600070008");
  expect(hex("::ffff:192.0.2.1")).toBe("00000000000000000000ffffc0000201");
  expect(hex("64:ff9b::192.0.2.1")).toBe("0064ff9b0000000000000000c0000201");
});

test("an address is in a network or not, whatever the prefix", () => {
  const is = (address: string, prefixLength: number, other: string) => inSameNetwork({ address, prefixLength }, other);
  expect(is("10.1.2.3", 24, "10.1.2.255")).toBe(true);
  expect(is("10.1.2.3", 24, "10.1.3.3")).toBe(false);
  expect(is("10.1.2.3", 22, "10.1.3.3")).toBe(true);
  expect(is("10.1.2.3", 32, "10.1.2.2")).toBe(false);
  expect(is("10.1.2.3", 0, "192.0.2.1")).toBe(true);
  expect(is("fd00:1::1", 64, "fd00:1::ffff:1")).toBe(true);
  expect(is("fd00:1::1", 64, "fd00:1:0:1::1")).toBe(false);
  expect(is("10.1.2.3", 0, "fd00::1")).toBe(false);
  expect(is("fd00::1", 0, "10.1.2.3")).toBe(false);
});

test("what is no address is refused", () => {
  for (const text of ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1:2", "fe80::1%eth0", "::1::", "localhost", "1.2.3.4/8"])
    expect(() => parseIpAddress(text)).toThrow(`"${text}" is not an IP address`);
});

test("what is an address is what the system takes for one", () => {
  const parts = [
    "::",
    ":",
    ".",
    "0",
    "1",
    "01",
    "12",
    "255",
    "256",
    "a",
    "ffff",
    "FFFF",
    "12345",
    "1.2.3.4",
    "1:2:3",
    "g",
    "%",
  ];
  let seed = 1;
  const next = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const taken = (text: string) => {
    try {
      return parseIpAddress(text).length === 4 ? 4 : 6;
    } catch {
      return 0;
    }
  };
  let addresses = 0;
  for (let round = 0; round < 200_000; round++) {
    const groups = Array.from({ length: 1 + Math.floor(next() * 9) }, () => parts[Math.floor(next() * parts.length)]);
    const text = groups.join(next() < 0.5 ? ":" : next() < 0.5 ? "." : "");
    if (text.includes("%")) continue; // zones are known to the system only
    if (isIP(text) !== 0) addresses++;
    expect(`${text} ${taken(text)}`).toBe(`${text} ${isIP(text)}`);
  }
  expect(addresses).toBeGreaterThan(1000);
});

test("an address is written in its shortest form", () => {
  for (const text of [
    "0.0.0.0",
    "10.1.2.3",
    "::",
    "::1",
    "1::",
    "fd00:1::a:0:0:1",
    "1:2:3:4:5:6:7:8",
    "1:0:2:3:4:5:6:7",
  ])
    expect(formatIpAddress(parseIpAddress(text))).toBe(text);
  expect(formatIpAddress(parseIpAddress("2001:DB8:0:0:1:0:0:1"))).toBe("2001:db8::1:0:0:1");
  expect(formatIpAddress(parseIpAddress("::FFFF:c000:0201"))).toBe("::ffff:192.0.2.1");
});

test("a subnet is an address and a prefix length, without bits behind it", () => {
  expect(parseSubnet("172.18.0.0/15")).toEqual({ address: Uint8Array.of(172, 18, 0, 0), prefixLength: 15 });
  expect(parseSubnet("0.0.0.0/0").prefixLength).toBe(0);
  expect(parseSubnet("fd00::1/128").prefixLength).toBe(128);
  for (const text of ["172.18.0.0", "172.18.0.0/", "172.18.0.0/33", "::/129", "172.18.0.1/16", "172.17.0.0/15", "x/8"])
    expect(() => parseSubnet(text)).toThrow(`"${text.replace("x/8", "x")}`);
});

test("the last address of a subnet has all bits behind the prefix set", () => {
  const last = (text: string) => formatIpAddress(lastAddress(parseSubnet(text)));
  expect(last("172.18.0.0/15")).toBe("172.19.255.255");
  expect(last("10.0.0.1/32")).toBe("10.0.0.1");
  expect(last("fd00:1::/64")).toBe("fd00:1::ffff:ffff:ffff:ffff");
});
