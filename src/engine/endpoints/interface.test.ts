import { expect, test } from "bun:test";
import type { NetworkRecord } from "../networks/types.ts";
import { parseInterfaceSysctls, planInterface, wishedInterfaceName } from "./interface.ts";
import type { ActiveEndpoint } from "./order.ts";

function active(options: Record<string, string> = {}, wish: ActiveEndpoint["endpoint"]["wish"] = {}): ActiveEndpoint {
  const state = {
    endpointId: "e",
    interfaceName: "eth0",
    hostInterface: "vethe",
    macAddress: "02:42:ac:11:00:02",
    ipv4: { address: "172.17.0.2", prefixLength: 16 },
    ipv6: { address: "fd00::2", prefixLength: 64 },
  };
  return { endpoint: { networkId: "n", networkName: "n", wish, state }, state, network: { options } as NetworkRecord };
}

const BRIDGE = { kind: "bridge", bridge: "br", bridgeIndex: 7, mtu: 1400 } as const;

test("an endpoint on a bridge is a veth with its addresses", () => {
  expect(planInterface(active(), BRIDGE, ["172.17.0.1"])).toEqual({
    name: "eth0",
    link: { type: "veth", hostName: "vethe", bridgeIndex: 7, isolated: false, hairpin: true },
    macAddress: "02:42:ac:11:00:02",
    mtu: 1400,
    addresses: [
      { address: "172.17.0.2", prefixLength: 16 },
      { address: "fd00::2", prefixLength: 64 },
    ],
    gateways: ["172.17.0.1"],
  });
});

test("link-local addresses and sysctls are the interface's, and a network may keep its containers apart", () => {
  const driverOpts = { "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1" };
  const one = active(
    { "com.docker.network.bridge.enable_icc": "false" },
    { linkLocalIPs: ["169.254.7.8", "fe80::7"], driverOpts },
  );
  const { addresses, sysctls, link } = planInterface(one, BRIDGE, []);
  expect(addresses.slice(2)).toEqual([
    { address: "169.254.7.8", prefixLength: 16 },
    { address: "fe80::7", prefixLength: 64 },
  ]);
  expect(sysctls).toEqual({ "net.ipv4.conf.IFNAME.log_martians": "1" });
  expect(link).toMatchObject({ isolated: true });
});

test("an endpoint on a macvlan network is one of its parent", () => {
  const above = { type: "macvlan", mode: "private" } as const;
  const prepared = { kind: "parent", parent: "eth9", parentIndex: 9, above, mtu: 0 } as const;
  expect(planInterface(active(), prepared, []).link).toEqual({ type: "macvlan", parentIndex: 9, mode: "private" });
});

test("an interface may be given a name that the kernel takes", () => {
  const name = (value: string) => wishedInterfaceName({ "com.docker.network.endpoint.ifname": value });
  expect(name("wan0")).toBe("wan0");
  expect(wishedInterfaceName(undefined)).toBeUndefined();
  for (const bad of ["", "sixteen-bytes-xx", "a/b", "a b", "..", "a:b"])
    expect(() => name(bad)).toThrow("invalid interface name");
});

test("only sysctls of the interface itself are accepted", () => {
  expect(parseInterfaceSysctls(undefined)).toEqual({});
  expect(parseInterfaceSysctls("net.ipv4.conf.IFNAME.rp_filter=0,net.ipv6.neigh.IFNAME.mcast_solicit=9")).toEqual({
    "net.ipv4.conf.IFNAME.rp_filter": "0",
    "net.ipv6.neigh.IFNAME.mcast_solicit": "9",
  });
  for (const bad of ["net.ipv4.ip_forward=1", "net.ipv4.conf.eth0.rp_filter=1", "net.ipv4.conf.IFNAME/../x=1", "x"])
    expect(() => parseInterfaceSysctls(bad)).toThrow("invalid sysctl");
});
