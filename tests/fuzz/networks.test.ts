import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { parseNetworkRequest } from "../../src/engine/networks/create-request.ts";
import { planNetwork, planPools } from "../../src/engine/networks/plan-network.ts";
import type { NetworkRecord } from "../../src/engine/networks/types.ts";
import { contains, DEFAULT_POOLS, localPoolV6, overlaps, parseCidr, parseIp } from "../../src/network/ipam/mod.ts";
import { Random } from "../support/random.ts";

const ROUNDS = 20_000;
const names = ["net", "other", "bridge", "", " ", "a\0b", "__proto__", 5, null];
const drivers = ["bridge", "macvlan", "ipvlan", "host", "null", "nope", "", undefined, {}];
const booleans = [true, false, undefined, null, "true"];
const labels = [
  "name",
  "enable_icc",
  "enable_ip_masquerade",
  "host_binding_ipv4",
  "gateway_mode_ipv4",
  "default_bridge",
];
const keys = [
  ...labels.map((label) => `com.docker.network.bridge.${label}`),
  "com.docker.network.driver.mtu",
  "parent",
  "macvlan_mode",
  "ipvlan_mode",
  "ipvlan_flag",
  "__proto__",
];
const texts = [
  "",
  "true",
  "0",
  "br9",
  "lo",
  "127.0.0.1",
  "1400",
  "-1",
  "99999999999999999999",
  "passthru",
  "x".repeat(200),
  "a b",
  "eth0.7",
  "\0",
];

/** "10.7.0.0/16", and everything near it. */
function cidrOf(random: Random): unknown {
  const address = random.pick([
    `10.${random.below(4)}.${random.pick([0, 1, 128])}.${random.pick([0, 0, 1, 255])}`,
    `fd00:${random.below(4)}::${random.pick(["", "1"])}`,
    "x",
    "::ffff:1.2.3.4",
  ]);
  return random.pick([`${address}/${random.pick([8, 16, 24, 30, 31, 32, 64, 127, 128, 129])}`, address, "", null, 7]);
}

function bodyOf(random: Random): unknown {
  const address = () =>
    random.pick([`10.${random.below(4)}.0.${random.below(6)}`, `fd00:${random.below(4)}::${random.below(6)}`, "", "x"]);
  const config = () => ({
    Subnet: cidrOf(random),
    ...(random.below(3) === 0 ? { IPRange: cidrOf(random) } : {}),
    ...(random.below(3) === 0 ? { Gateway: address() } : {}),
    ...(random.below(4) === 0 ? { AuxiliaryAddresses: random.pick([{ a: address(), b: address() }, [], "x"]) } : {}),
  });
  const Config = Array.from({ length: random.below(3) }, config);
  return {
    Name: random.pick(names),
    Driver: random.pick(drivers),
    EnableIPv6: random.pick(booleans),
    Internal: random.pick(booleans),
    ...(random.below(4) === 0 ? { EnableIPv4: random.pick(booleans) } : {}),
    IPAM: random.pick([
      { Config },
      { Config },
      { Config, Driver: "default", Options: { a: "b" } },
      null,
      [],
      { Config: "x" },
    ]),
    Options: Object.fromEntries(Array.from({ length: random.below(3) }, () => [random.pick(keys), random.pick(texts)])),
  };
}

test("whatever is asked for: a network whose addresses fit one another and the networks there are, or an error with a reason", () => {
  const random = Random.fromEnvironment("networks/create");
  const pools = [...DEFAULT_POOLS, localPoolV6("fuzz")];
  let networks: NetworkRecord[] = [];
  let made = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (networks.length > 5) networks = [];
    try {
      const plan = planNetwork(parseNetworkRequest(bodyOf(random)), networks);
      const planned = planPools(plan, { pools, hostRanges: [parseCidr("172.17.0.0/16")!], networks });
      for (const { subnet, gateway, ipRange, auxAddresses = {} } of planned) {
        const cidr = parseCidr(subnet)!;
        for (const address of [gateway, ...Object.values(auxAddresses)])
          expect(contains(cidr, parseIp(address)!)).toBe(true);
        if (ipRange !== undefined) expect(overlaps(cidr, parseCidr(ipRange)!)).toBe(true);
        for (const other of networks.flatMap((network) => network.pools))
          expect(overlaps(cidr, parseCidr(other.subnet)!)).toBe(false);
      }
      networks.push({ ...plan, name: `${plan.name}${round}`, id: `${round}`, createdAt: "", pools: planned });
      made++;
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      expect(["invalid", "forbidden", "not-found", "not-supported", "conflict", "internal", "unavailable"]).toContain(
        error.code,
      );
      expect(error.message).not.toBe("");
    }
  }
  expect(made).toBeGreaterThan(ROUNDS / 100);
});
