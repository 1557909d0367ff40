import { expect, test } from "bun:test";
import { Random } from "../../../tests/support/random.ts";
import { contains, firstOf, formatCidr, lastOf, masked, overlaps, parseCidr, sizeOf } from "../../base/cidr.ts";
import { bitsOf, type Family, formatIp, parseIp } from "../../base/ip-number.ts";
import { AddressPoolState } from "./address-pool.ts";
import { chooseSubnet, DEFAULT_POOLS, localPoolV6 } from "./default-pools.ts";
import { macAddressFor, parseMac } from "./mac-address.ts";

const cidr = (text: string) => parseCidr(text)!;

test("an address range is read in one spelling", () => {
  expect(formatCidr(masked(cidr("10.1.2.3/8")))).toBe("10.0.0.0/8");
  expect(formatCidr(cidr("FD00:0:0::1/64"))).toBe("fd00::1/64");
  expect(sizeOf(cidr("0.0.0.0/0"))).toBe(1n << 32n);
  for (const text of [
    "",
    "10.0.0.0",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/08",
    "10.0.0.0/+8",
    "10.0.0.0/255.0.0.0",
    "fe80::1%lo/64",
  ])
    expect(parseCidr(text)).toBeUndefined();
});

test("two ranges overlap exactly if they have an address in common", () => {
  const random = Random.fromEnvironment("overlaps");
  for (let round = 0; round < 5000; round++) {
    const family: Family = random.pick([4, 6]);
    const bits = bitsOf(family);
    const make = () => ({
      family,
      value: (BigInt(random.u32() & 0xff) << BigInt(bits - 8)) | BigInt(random.below(4)),
      prefixLength: random.below(12) + (random.below(4) === 0 ? bits - 12 : 0),
    });
    const [a, b] = [make(), make()];
    const common = firstOf(a) <= lastOf(b) && firstOf(b) <= lastOf(a);
    expect([a, b, overlaps(a, b)]).toEqual([a, b, common]);
    expect(overlaps(b, a)).toBe(common);
  }
  expect(overlaps(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
});

test("addresses go out in order: without the network's, the gateway's, the broadcast one, and those kept aside", () => {
  const state = new AddressPoolState({
    subnet: "10.0.0.0/29",
    gateway: "10.0.0.1",
    auxAddresses: { printer: "10.0.0.3" },
  });
  const all = Array.from({ length: 5 }, () => state.takeAny()?.address);
  expect(all).toEqual(["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6", undefined]);
  state.release(parseIp("10.0.0.4")!);
  expect(state.takeAny()).toEqual({ address: "10.0.0.4", prefixLength: 29 });
});

test("addresses are taken from the range, and asked for from the whole subnet", () => {
  const state = new AddressPoolState({ subnet: "10.0.0.0/24", ipRange: "10.0.0.128/30", gateway: "10.0.0.1" });
  expect(state.take(parseIp("10.0.0.9")!).address).toBe("10.0.0.9");
  expect(Array.from({ length: 5 }, () => state.takeAny()?.address)).toEqual([
    "10.0.0.128",
    "10.0.0.129",
    "10.0.0.130",
    "10.0.0.131",
    undefined,
  ]);
  for (const taken of ["10.0.0.9", "10.0.0.1", "10.0.0.0", "10.0.0.255", "10.0.0.130"])
    expect(() => state.take(parseIp(taken)!)).toThrow("Address already in use");
  state.release(parseIp("10.0.0.9")!);
  expect(state.takeAny()).toBeUndefined(); // it is outside the range
  expect(state.take(parseIp("10.0.0.9")!).address).toBe("10.0.0.9");
});

test("networks of one or two addresses have no address that nobody can have", () => {
  const state = new AddressPoolState({ subnet: "10.0.0.0/31", gateway: "10.0.0.0" });
  expect([state.takeAny()?.address, state.takeAny()]).toEqual(["10.0.0.1", undefined]);
});

test("an IPv6 network has no broadcast address; its first address is every router's", () => {
  const state = new AddressPoolState({ subnet: "fd00::/126", gateway: "fd00::1" });
  expect([state.takeAny()?.address, state.takeAny()?.address, state.takeAny()]).toEqual([
    "fd00::2",
    "fd00::3",
    undefined,
  ]);
});

test("whatever is taken and given back: no address twice, each in the range, and the lowest free one first", () => {
  const random = Random.fromEnvironment("address pool");
  for (let round = 0; round < 200; round++) {
    const pool = { subnet: "10.0.0.0/27", ipRange: "10.0.0.8/29", gateway: "10.0.0.9" };
    const state = new AddressPoolState(pool);
    const [subnet, range] = [cidr(pool.subnet), cidr(pool.ipRange)];
    const taken = new Set<bigint>();
    const reserved = new Set([firstOf(subnet), lastOf(subnet), parseIp(pool.gateway)!.value]);
    for (let step = 0; step < 60; step++) {
      const value = firstOf(subnet) + BigInt(random.below(32));
      const address = { family: 4 as const, value };
      const isFree = (each: bigint) => !taken.has(each) && !reserved.has(each);
      switch (random.below(4)) {
        case 0:
          if (isFree(value)) {
            expect(state.take(address).address).toBe(formatIp(address));
            taken.add(value);
          } else expect(() => state.take(address)).toThrow("Address already in use");
          break;
        case 1:
          state.release(address);
          taken.delete(value);
          break;
        default: {
          const given = state.takeAny();
          let lowest = firstOf(range);
          while (lowest <= lastOf(range) && !isFree(lowest)) lowest++;
          if (lowest > lastOf(range)) expect(given).toBeUndefined();
          else {
            expect(given?.address).toBe(formatIp({ family: 4, value: lowest }));
            taken.add(lowest);
          }
        }
      }
    }
  }
});

test("a subnet is chosen that overlaps nothing, the first there is", () => {
  expect(chooseSubnet(DEFAULT_POOLS, 4, [])).toBe("172.17.0.0/16");
  expect(chooseSubnet(DEFAULT_POOLS, 4, [cidr("172.17.9.9/32")])).toBe("172.18.0.0/16");
  expect(chooseSubnet(DEFAULT_POOLS, 4, [cidr("172.16.0.0/12")])).toBe("192.168.0.0/20");
  expect(chooseSubnet(DEFAULT_POOLS, 4, [cidr("172.16.0.0/12"), cidr("192.168.1.0/24")])).toBe("192.168.16.0/20");
  expect(() => chooseSubnet(DEFAULT_POOLS, 4, [cidr("0.0.0.0/0")])).toThrow(
    "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
  );
  expect(chooseSubnet([{ base: "10.0.0.0/8", size: 8 }], 4, [])).toBe("10.0.0.0/8");
});

test("of many subnets the first free one is found at once", () => {
  const pool = localPoolV6("an installation");
  expect(pool.base).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{4}:[0-9a-f]{4}::\/48$/);
  const first = cidr(chooseSubnet([pool], 6, []));
  const wide = { ...first, prefixLength: 49 }; // the pool has 32768 subnets
  const next = cidr(chooseSubnet([pool], 6, [wide]));
  expect(next).toEqual({ family: 6, value: lastOf(wide) + 1n, prefixLength: 64 });
  expect(contains(cidr(pool.base), next)).toBe(true);
});

test("whatever is taken: the chosen subnet is the lowest of its pool that is free", () => {
  const random = Random.fromEnvironment("subnets");
  const pools = [{ base: "10.0.0.0/24", size: 28 }];
  const all = Array.from({ length: 16 }, (_, index) => cidr(`10.0.0.${index * 16}/28`));
  for (let round = 0; round < 2000; round++) {
    const taken = Array.from({ length: random.below(12) }, () =>
      cidr(`10.0.0.${random.below(256)}/${24 + random.below(9)}`),
    );
    const free = all.find((candidate) => !taken.some((each) => overlaps(each, candidate)));
    if (free === undefined) expect(() => chooseSubnet(pools, 4, taken)).toThrow("could not find");
    else expect(chooseSubnet(pools, 4, taken)).toBe(formatCidr(free));
  }
});

test("a MAC address is made of the IPv4 address, or at random", () => {
  expect(macAddressFor(parseIp("172.17.0.2"))).toBe("02:42:ac:11:00:02");
  expect(macAddressFor(undefined)).toMatch(/^02:42(:[0-9a-f]{2}){4}$/);
  expect(macAddressFor(undefined)).not.toBe(macAddressFor(undefined));
});

test("a MAC address is read in every spelling of Go's, and written in one", () => {
  for (const text of ["02:42:AC:11:00:02", "02-42-ac-11-00-02", "0242.ac11.0002"])
    expect(parseMac(text)).toBe("02:42:ac:11:00:02");
  for (const text of [
    "",
    "02:42:ac:11:00",
    "02:42-ac:11:00:02",
    "0242ac110002",
    "02:42:ac:11:00:0g",
    "0242.ac11.0002.0003",
  ])
    expect(parseMac(text)).toBeUndefined();
});
