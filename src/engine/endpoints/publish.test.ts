import { expect, test } from "bun:test";
import { atOnce, type Steps } from "../../base/slices.ts";
import type { WantedPort } from "../../network/ports/mod.ts";
import type { ActiveEndpoint } from "./order.ts";
import { onHost, publishTargets, redirectPorts, reservePorts } from "./publish.ts";

const NAT = { isRouted: false, trustedInterfaces: [] };
const IPV4 = { ...NAT, address: "172.17.0.2", bridge: "br", hostAddress: "0.0.0.0" };
const IPV6 = { ...NAT, address: "fd00::2", bridge: "br", hostAddress: "::" };
const wish = (port: number, hostAddress: string, from?: number) => ({
  port,
  protocol: "tcp" as const,
  hostAddress,
  hostPorts: from === undefined ? undefined : { from, to: from },
});

function hostPorts() {
  const asked: WantedPort[] = [];
  function* reserve(wanted: readonly WantedPort[]): Steps<number[]> {
    asked.push(...wanted);
    yield;
    return wanted.map(({ hostPort }, index) => (typeof hostPort === "number" ? 40000 + index : hostPort.from));
  }
  return { asked, reserve, release: () => {}, claim: () => {} };
}

const reserveAtOnce = (...args: Parameters<typeof reservePorts>) => atOnce(reservePorts(...args));

test("a port without an address is published at all of both families, by the same number", () => {
  const ports = hostPorts();
  expect(reserveAtOnce([wish(80, ""), wish(81, "127.0.0.1", 8081)], { ipv4: IPV4, ipv6: IPV6 }, ports)).toEqual([
    { protocol: "tcp", hostAddress: "0.0.0.0", hostPort: 40000, address: "172.17.0.2", port: 80, bridge: "br" },
    { protocol: "tcp", hostAddress: "::", hostPort: 40000, address: "fd00::2", port: 80, bridge: "br" },
    { protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8081, address: "172.17.0.2", port: 81, bridge: "br" },
  ]);
  expect(ports.asked[0]).toEqual({ protocol: "tcp", hostAddresses: ["0.0.0.0", "::"], hostPort: 0 });
});

test("a container that no outside reaches publishes nothing, and reserves nothing", () => {
  const ports = hostPorts();
  expect(reserveAtOnce([wish(80, "", 8080)], { ipv4: undefined, ipv6: undefined }, ports)).toEqual([]);
  expect(ports.asked).toEqual([]);
});

test("an address of a family that the container has not is refused", () => {
  expect(() => reserveAtOnce([wish(80, "::1")], { ipv4: IPV4, ipv6: undefined }, hostPorts())).toThrow(
    "publish port 80/tcp at ::1: the container has no address of that family",
  );
});

test("ports go on to another address, and end where there is none", () => {
  const [v4, v6] = reserveAtOnce([wish(80, "", 8080)], { ipv4: IPV4, ipv6: IPV6 }, hostPorts());
  const other = { ...IPV4, address: "172.18.0.2", bridge: "br2" };
  expect(redirectPorts([v4!, v6!], { ipv4: other, ipv6: undefined })).toEqual([
    { ...v4!, address: "172.18.0.2", bridge: "br2" },
  ]);
});

test("a network may say at which address of the host ports are published that name none", () => {
  const state = { ipv4: { address: "172.17.0.2", prefixLength: 16 }, ipv6: { address: "fd00::2", prefixLength: 64 } };
  const endpoint = { state } as ActiveEndpoint;
  const gatewayModes = { ipv4: "nat", ipv6: "nat" } as const;
  const at = (hostBinding: string) => {
    const bridge = { bridge: "br", hostBinding, gatewayModes, trustedInterfaces: [] };
    const targets = publishTargets({ ipv4: endpoint, ipv6: endpoint }, () => bridge);
    return reserveAtOnce([wish(80, "", 8080)], targets, hostPorts()).map((mapping) => mapping.hostAddress);
  };
  expect(at("")).toEqual(["0.0.0.0", "::"]);
  expect(at("0.0.0.0")).toEqual(["0.0.0.0", "::"]);
  expect(at("127.0.0.1")).toEqual(["127.0.0.1"]);
});

test("in a routed network a port is the container's own, once, and takes none of the host", () => {
  const ports = hostPorts();
  const wishes = [wish(80, "", 8080), wish(80, "127.0.0.1", 8081)];
  const targets = { ipv4: { ...IPV4, isRouted: true }, ipv6: IPV6 };
  const reserved = reserveAtOnce(wishes, targets, ports);
  expect(reserved).toEqual([
    { protocol: "tcp", hostAddress: "0.0.0.0", hostPort: 0, address: "172.17.0.2", port: 80, bridge: "br" },
    { protocol: "tcp", hostAddress: "::", hostPort: 8080, address: "fd00::2", port: 80, bridge: "br" },
  ]);
  expect(ports.asked).toEqual([{ protocol: "tcp", hostAddresses: ["::"], hostPort: { from: 8080, to: 8080 } }]);
  expect(onHost(reserved)).toEqual([reserved[1]!]);
  expect(redirectPorts(reserved, { ipv4: IPV4, ipv6: { ...IPV6, isRouted: true } })).toEqual([
    { ...reserved[1]!, hostPort: 0 },
  ]);
});

test("trusted interfaces are told once for each port of the container", () => {
  const trusted = { ...IPV4, trustedInterfaces: ["eth1"] };
  const reserved = reserveAtOnce(
    [wish(80, "", 8080), wish(80, "", 8081)],
    { ipv4: trusted, ipv6: undefined },
    hostPorts(),
  );
  expect(reserved.map(({ hostPort, trustedInterfaces }) => [hostPort, trustedInterfaces])).toEqual([
    [8080, ["eth1"]],
    [8081, undefined],
  ]);
});
