import { expect, test } from "bun:test";
import { describeRules } from "./describe.ts";
import { ALL_SETS } from "./sets.ts";

const network = {
  ...{ bridge: "br-a", subnets: ["172.18.0.0/16", "fd00:1::/64"], internal: false, icc: true, masquerade: true },
  ...{ hostAddresses: ["192.0.2.1"], gatewayModes: { ipv4: "nat", ipv6: "routed" } as const },
};
const port = { protocol: "tcp", address: "172.18.0.2", port: 80, bridge: "br-a" } as const;

test("describeRules says what the table has for a network and its ports, in the words of nft", () => {
  const ports = [
    { ...port, hostAddress: "0.0.0.0", hostPort: 8080 },
    { ...port, hostAddress: "127.0.0.1", hostPort: 81, trustedInterfaces: ["eth1"] },
    { ...port, hostAddress: "0.0.0.0", hostPort: 9, bridge: "other" },
  ];
  const links = [{ bridge: "br-a", from: "172.18.0.2", to: "172.18.0.3", protocol: "udp", port: 53 } as const];
  const rules = describeRules(network, ports, links);
  expect(rules.map(({ set, element, address }) => [set, element, address ?? ""])).toEqual([
    ["bridges", '"br-a"', ""],
    ["icc", '"br-a" . "br-a"', ""],
    ["subnets4", '"br-a" . 172.18.0.0-172.18.255.255', ""],
    ["sources4", "172.18.0.0-172.18.255.255 : 192.0.2.1", ""],
    ["subnets6", '"br-a" . fd00:1::-fd00:1::ffff:ffff:ffff:ffff', ""],
    ["open6", '"br-a" . icmpv6', ""],
    ["ports4", "tcp . 8080 : 172.18.0.2 . 80", "172.18.0.2"],
    ["ports4-at", "127.0.0.1 . tcp . 81 : 172.18.0.2 . 80", "172.18.0.2"],
    ["trusted4", '"eth1" . 172.18.0.2 . tcp . 80', "172.18.0.2"],
    ["links", '"br-a" . 172.18.0.2 . 172.18.0.3 . udp . 53', "172.18.0.3"],
  ]);
  expect(rules.every(({ why }) => why !== "")).toBe(true);
});

test("describeRules knows what each set is for", () => {
  const empty = { bridge: "b", subnets: ["10.0.0.0/8"], internal: true, icc: false, masquerade: true };
  expect(describeRules(empty, [], []).map(({ set }) => set)).toEqual(["bridges", "internal", "subnets4"]);
  expect(ALL_SETS.length).toBe(20); // a new set needs its words in describe.ts
});
