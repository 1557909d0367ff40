// needs: ip nft python3 busybox
import { afterAll, beforeAll, expect } from "bun:test";
import { Firewall } from "../../src/network/firewall/mod.ts";
import { forwardWithin } from "../../src/network/host-settings.ts";
import type { FirewallNetwork } from "../../src/network/types.ts";
import {
  closeLab,
  expectAnswers,
  hasBridgeCalls,
  hosts,
  NETWORKS,
  nft,
  openLab,
  PORTS,
  port,
  type Row,
  setBridgeCalls,
} from "../support/firewall-lab.ts";
import { testIf } from "../support/test-if.ts";

/** What gets where, with real packets: the map is in firewall-lab.ts. */

const isRoot = process.getuid?.() === 0;
let firewall: Firewall;

beforeAll(async () => {
  if (!isRoot) return;
  await openLab();
  firewall = new Firewall({ tableName: "lighter" });
});

afterAll(closeLab);

/** As `name (bridge-nf-call-iptables 0)` and `… 1`: bridges hand what they forward to the firewall, or do not. */
function testBothWays(name: string, rows: (isFiltered: boolean) => readonly Row[]): void {
  for (const isFiltered of [false, true])
    testIf(isRoot && hasBridgeCalls, "needs root and br_netfilter")(
      `${name} (bridge-nf-call-iptables ${Number(isFiltered)})`,
      async () => {
        setBridgeCalls(isFiltered);
        firewall.sync(NETWORKS, PORTS);
        await expectAnswers(rows(isFiltered));
      },
    );
}

testBothWays("published ports are reached from outside, and nothing else is", () => [
  ["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"],
  ["outside", "udp", "192.0.2.1 8053", "a1 192.0.2.2"],
  ["outside", "tcp", "192.0.2.1 8082", "a1 192.0.2.2"],
  ["outside", "tcp", "192.0.2.9 8080", "a1 192.0.2.2"],
  ["outside", "tcp", "192.0.2.9 8082", "refused"],
  ["outside", "tcp", "192.0.2.1 8081", "refused"],
  ["outside", "tcp", "192.0.2.1 8083", "refused"],
  ["outside", "tcp", "192.0.2.1 80", "host 192.0.2.2"],
  ["outside", "tcp", "2001:db8::1 8080", "a1 2001:db8::2"],
  ["outside", "udp", "2001:db8::1 8053", "a1 2001:db8::2"],
  ["outside", "tcp", "2001:db8::1 8082", "a1 2001:db8::2"],
  ["outside", "tcp", "2001:db8::1 8081", "refused"],
]);

testBothWays("the host reaches published ports by each of its addresses", (isFiltered) => [
  ["host", "tcp", "127.0.0.1 8080", "a1 172.18.0.1"],
  ["host", "tcp", "127.1.2.3 8080", "a1 172.18.0.1"],
  ["host", "udp", "127.0.0.1 8053", "a1 172.18.0.1"],
  ["host", "tcp", "127.0.0.1 8081", "a1 172.18.0.1"],
  ["host", "tcp", "127.0.0.1 8090", "d1 172.21.0.1"],
  ["host", "tcp", "192.0.2.1 8080", "a1 192.0.2.1"],
  ["host", "tcp", "192.0.2.1 8082", "a1 192.0.2.1"],
  ["host", "tcp", "172.18.0.1 8080", "a1 172.18.0.1"],
  ["host", "tcp", "172.19.0.1 8080", "a1 192.0.2.9"],
  ["host", "tcp", "127.0.0.1 8082", "refused"],
  ["host", "tcp", "::1 8080", isFiltered ? "refused" : "a1 fd00:a::1"],
  ["host", "tcp", "::1 8081", isFiltered ? "refused" : "a1 fd00:a::1"],
  ["host", "udp", "::1 8053", isFiltered ? "refused" : "a1 fd00:a::1"],
  ["host", "tcp", "2001:db8::1 8080", "a1 2001:db8::1"],
  ["host", "tcp", "172.18.0.2 81", "a1 172.18.0.1"],
  ["host", "tcp", "172.20.0.2 81", "c1 172.20.0.1"],
]);

testBothWays("containers reach published ports by the host's addresses, their own port too", (isFiltered) => [
  ["a1", "tcp", "192.0.2.1 8080", "a1 172.18.0.1"],
  ["a2", "tcp", "192.0.2.1 8080", "a1 172.18.0.1"],
  ["a2", "udp", "192.0.2.1 8053", "a1 172.18.0.1"],
  ["a2", "tcp", "172.18.0.1 8080", "a1 172.18.0.1"],
  ["a2", "tcp", "192.0.2.1 8091", "b1 172.19.0.1"],
  ["b1", "tcp", "192.0.2.1 8080", "a1 192.0.2.9"],
  ["d1", "tcp", "192.0.2.1 8080", "a1 172.18.0.1"],
  ["a1", "tcp", "2001:db8::1 8080", "a1 fd00:a::1"],
  ["a2", "tcp", "2001:db8::1 8080", "a1 fd00:a::1"],
  ["b1", "tcp", "2001:db8::1 8080", "a1 fd00:a::1"],
  // Isolated ports: the bridge itself forwards what the firewall has translated, or does not.
  ["d1", "tcp", "192.0.2.1 8090", isFiltered ? "timeout" : "d1 172.21.0.1"],
  ["d2", "tcp", "192.0.2.1 8090", isFiltered ? "timeout" : "d1 172.21.0.1"],
  ["a2", "tcp", "192.0.2.1 8081", "refused"],
  ["c1", "tcp", "192.0.2.1 8080", "timeout"],
]);

testBothWays("networks are apart from one another, and from outside", () => [
  ["a1", "tcp", "172.18.0.3 80", "a2 172.18.0.2"],
  ["a1", "tcp", "fd00:a::3 80", "a2 fd00:a::2"],
  ["c1", "tcp", "172.20.0.3 80", "c2 172.20.0.2"],
  ["a1", "tcp", "172.19.0.2 80", "timeout"],
  ["a1", "tcp", "fd00:b::2 80", "timeout"],
  ["a1", "tcp", "172.20.0.2 80", "timeout"],
  ["c1", "tcp", "172.18.0.2 80", "timeout"],
  ["d1", "tcp", "172.21.0.3 80", "timeout"],
  ["a1", "tcp", "172.18.0.1 80", "host 172.18.0.2"],
  ["c1", "tcp", "172.20.0.1 80", "host 172.20.0.2"],
  ["d1", "tcp", "172.21.0.1 80", "host 172.21.0.2"],
]);

testBothWays(
  "what leaves has the host's address, or the one that is asked for; nothing leaves an internal network",
  () => [
    ["a1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["a1", "udp", "192.0.2.2 53", "outside 192.0.2.1"],
    ["a1", "tcp", "2001:db8::2 80", "outside 2001:db8::1"],
    ["b1", "tcp", "192.0.2.2 80", "outside 192.0.2.9"],
    ["b1", "tcp", "2001:db8::2 80", "outside 2001:db8::1"],
    ["d1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["c1", "tcp", "192.0.2.2 80", "timeout"],
    ["c1", "tcp", "2001:db8::2 80", "timeout"],
  ],
);

testBothWays("a host that sends to containers by their own addresses reaches none of their ports", () => {
  for (const route of ["172.16.0.0/12 via 192.0.2.1", "fd00::/16 via 2001:db8::1"])
    hosts.outside.run("ip", "route", "replace", ...route.split(" "));
  return [
    ["outside", "tcp", "172.18.0.2 80", "timeout"],
    ["outside", "tcp", "172.18.0.2 81", "timeout"],
    ["outside", "udp", "172.18.0.2 53", "timeout"],
    ["outside", "tcp", "172.20.0.2 80", "timeout"],
    ["outside", "tcp", "fd00:a::2 80", "timeout"],
    ["outside", "tcp", "172.18.0.1 80", "host 192.0.2.2"],
    ["outside", "tcp", "172.18.0.1 8080", "a1 192.0.2.2"],
  ];
});

testIf(isRoot, "needs root")("a network's gateway mode says what of it is reached by its own addresses", async () => {
  for (const route of ["172.16.0.0/12 via 192.0.2.1", "fd00::/16 via 2001:db8::1"])
    hosts.outside.run("ip", "route", "replace", ...route.split(" "));
  const [a, b, c, d] = NETWORKS as readonly [FirewallNetwork, FirewallNetwork, FirewallNetwork, FirewallNetwork];
  const networks: FirewallNetwork[] = [
    { ...a, gatewayModes: { ipv4: "nat-unprotected", ipv6: "nat" } },
    { ...b, gatewayModes: { ipv4: "routed", ipv6: "nat-unprotected" } },
    { ...c, gatewayModes: { ipv4: "routed", ipv6: "nat-unprotected" } }, // it is internal all the same
    d,
  ];
  const ports = [
    port("tcp", "0.0.0.0", 0, "172.19.0.2", 80, "br-b"),
    port("tcp", "0.0.0.0", 0, "172.20.0.2", 80, "br-c"),
    { ...port("tcp", "0.0.0.0", 8090, "172.21.0.2", 80, "br-d"), trustedInterfaces: ["nowhere", "uplink"] },
    port("tcp", "0.0.0.0", 8091, "172.21.0.2", 81, "br-d"),
    port("tcp", "0.0.0.0", 8080, "172.18.0.2", 80, "br-a"),
  ];
  const ping = (address: string) => hosts.outside.run("busybox", "ping", "-c", "1", "-W", "1", address);
  const rows: Row[] = [
    ["outside", "tcp", "172.18.0.2 81", "a1 192.0.2.2"],
    ["outside", "udp", "172.18.0.2 53", "a1 192.0.2.2"],
    ["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"],
    ["outside", "tcp", "fd00:a::2 80", "timeout"],
    ["a1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["outside", "tcp", "172.19.0.2 80", "b1 192.0.2.2"],
    ["outside", "tcp", "172.19.0.2 81", "timeout"],
    ["outside", "tcp", "fd00:b::2 81", "b1 2001:db8::2"],
    ["b1", "tcp", "192.0.2.2 80", "outside 172.19.0.2"],
    ["a1", "tcp", "172.19.0.2 80", "b1 172.19.0.1"],
    ["outside", "tcp", "172.20.0.2 80", "timeout"],
    ["outside", "tcp", "fd00:c::2 80", "timeout"],
    ["outside", "tcp", "172.21.0.2 80", "d1 192.0.2.2"],
    ["outside", "tcp", "172.21.0.2 81", "timeout"],
    ["a1", "tcp", "172.21.0.2 80", "timeout"],
  ];
  firewall.sync(networks, ports);
  await expectAnswers(rows);
  for (const address of ["172.18.0.2", "172.19.0.2"]) expect(ping(address)).toContain("1 packets received");
  for (const address of ["fd00:a::2", "172.20.0.2", "172.21.0.2"]) expect(() => ping(address)).toThrow();
  firewall.unpublish(ports.slice(0, 3));
  for (const network of networks.slice(0, 2))
    firewall.addNetwork({ ...network, gatewayModes: { ipv4: "nat", ipv6: "nat" } });
  firewall.forgetConnections(["172.18.0.2", "172.19.0.2", "172.21.0.2", "fd00:b::2"]);
  const closed = ["172.18.0.2 81", "172.19.0.2 80", "fd00:b::2 81", "172.21.0.2 80"];
  await expectAnswers(closed.map((to) => ["outside", "tcp", to, "timeout"]));
});

for (const isFiltered of [false, true])
  testIf(isRoot && hasBridgeCalls, "needs root and br_netfilter")(
    `where containers do not reach one another, links open single ports, one way (bridge-nf-call-iptables ${Number(isFiltered)})`,
    async () => {
      setBridgeCalls(isFiltered);
      firewall.sync(NETWORKS, PORTS);
      forwardWithin("br-d", true);
      const rows = (linked: string): Row[] => [
        ["d1", "tcp", "172.21.0.3 80", linked],
        ["d1", "tcp", "172.21.0.3 81", "timeout"],
        ["d1", "udp", "172.21.0.3 53", "timeout"],
        ["d2", "tcp", "172.21.0.2 80", "timeout"],
        ["a1", "tcp", "172.21.0.3 80", "timeout"],
      ];
      await expectAnswers(rows("timeout"));
      const link = { bridge: "br-d", from: "172.21.0.2", to: "172.21.0.3", protocol: "tcp", port: 80 } as const;
      firewall.setLinks([link, link, { ...link, from: "172.21.0.9" }]);
      await expectAnswers(rows("d2 172.21.0.2"));
      nft("flush", "ruleset");
      firewall.sync(NETWORKS, PORTS, [link]);
      await expectAnswers(rows("d2 172.21.0.2"));
      firewall.setLinks([]);
      firewall.forgetConnections(["172.21.0.2"]);
      await expectAnswers(rows("timeout"));
      forwardWithin("br-d", false);
    },
  );

testIf(isRoot, "needs root")("published ports of SCTP are reached", async () => {
  firewall.sync(NETWORKS, PORTS);
  await hosts.a1.tell({ do: "sctp-serve" });
  await hosts.outside.tell({ do: "sctp", address: "192.0.2.1", port: 8132 });
  expect(await hosts.a1.tell({ do: "sctp-port" })).toBe(1132);
  await hosts.host.tell({ do: "sctp", address: "127.0.0.1", port: 8132 });
  expect(await hosts.a1.tell({ do: "sctp-port" })).toBe(1132);
});
