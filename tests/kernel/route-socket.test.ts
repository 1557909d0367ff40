// needs: ip
import { beforeAll, expect } from "bun:test";
import { errnoOf } from "../../src/base/errors.ts";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import { enterNetworkNamespace, ip } from "../support/enter-network-namespace.ts";
import { failure } from "../support/failure.ts";
import { testIf } from "../support/test-if.ts";

/** What RouteSocket does is looked at with ip(8), and what it lists was made with it. */

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");

beforeAll(() => {
  if (isRoot) enterNetworkNamespace();
});

function json(...args: readonly string[]): Record<string, unknown>[] {
  return JSON.parse(ip("-d", "-j", ...args)) as Record<string, unknown>[];
}

testAsRoot("a bridge is made as asked, once, and removed", () => {
  using routes = new RouteSocket();
  const index = routes.createBridge({ name: "rs-br", mtu: 1400, alias: "ours: 1", multicastSnooping: false });
  const [shown] = json("link", "show", "rs-br");
  expect(shown).toMatchObject({ ifindex: index, mtu: 1400, operstate: "DOWN" });
  expect(shown!.linkinfo).toMatchObject({
    info_kind: "bridge",
    info_data: { stp_state: 0, mcast_snooping: 0 },
  });
  const found = routes.findLink("rs-br")!;
  expect(found).toEqual({
    ...{ index, name: "rs-br", kind: "bridge", macAddress: String(shown!.address), mtu: 1400, masterIndex: 0 },
    ...{ alias: "ours: 1", parentIndex: 0, isLoopback: false, isUp: false, isRunning: false },
  });
  expect(shown!.ifalias).toBe("ours: 1");
  expect(Number.parseInt(found.macAddress.slice(0, 2), 16) & 3).toBe(2);
  expect(routes.findLink(index)).toEqual(found);
  const again = failure(() => routes.createBridge({ name: "rs-br" }));
  expect([again.detail.errno, again.message]).toEqual([
    "EEXIST",
    "create bridge rs-br (message 1 of 2): EEXIST (file exists)",
  ]);
  expect(failure(() => routes.createBridge({ name: "sixteen-bytes-xx" })).code).toBe("invalid");
  routes.setLink(index, { isUp: true, mtu: 1500 });
  routes.setAlias(index, "another's");
  expect(routes.findLink(index)).toMatchObject({ isUp: true, mtu: 1500, alias: "another's" });
  expect(routes.removeLink("rs-br")).toBe(true);
  expect(routes.removeLink("rs-br")).toBe(false);
  expect(routes.removeLink(index)).toBe(false);
  expect(routes.findLink("rs-br")).toBeUndefined();
});

testAsRoot("a bridge keeps its MAC address whatever its ports have", () => {
  using routes = new RouteSocket();
  // Some kernels put tunnels of their own into every namespace.
  const names = () =>
    routes
      .links()
      .flatMap(({ name }) => (name.startsWith("rs-") ? [name] : []))
      .sort();
  const bridge = routes.createBridge({ name: "rs-br", macAddress: "02:ff:00:00:00:01" });
  ip("link", "add", "rs-a", "address", "02:00:00:00:00:02", "type", "veth", "peer", "name", "rs-b");
  const port = routes.findLink("rs-a")!;
  routes.setLink(port.index, { masterIndex: bridge, isUp: true });
  expect(routes.findLink(bridge)!.macAddress).toBe("02:ff:00:00:00:01");
  expect(routes.findLink("rs-a")).toMatchObject({ kind: "veth", masterIndex: bridge, isUp: true });
  expect(names()).toEqual(["rs-a", "rs-b", "rs-br"]);
  routes.setLink(port.index, { masterIndex: 0 });
  expect(routes.findLink("rs-a")!.masterIndex).toBe(0);
  expect(routes.removeLink("rs-b")).toBe(true);
  routes.removeLink(bridge);
  expect(names()).toEqual([]);
  expect(routes.links().flatMap(({ name, isLoopback }) => (isLoopback ? [name] : []))).toEqual(["lo"]);
});

testAsRoot("a bridge's port is isolated, sends back, and does not learn, as it is told", () => {
  using routes = new RouteSocket();
  const bridge = routes.createBridge({ name: "rs-br" });
  ip("link", "add", "rs-a", "master", "rs-br", "type", "veth", "peer", "name", "rs-b");
  const { index, port } = routes.findLink("rs-a")!;
  expect(port).toEqual({ isolated: false, hairpin: false, learning: true });
  routes.setBridgePort(index, { isolated: true, learning: false });
  expect(routes.findLink("rs-a")!.port).toEqual({ isolated: true, hairpin: false, learning: false });
  const slave = () => (json("link", "show", "rs-a")[0]!.linkinfo as Record<string, unknown>).info_slave_data;
  expect(slave()).toMatchObject({ isolated: true, learning: false, hairpin: false });
  routes.setBridgePort(index, { isolated: false, hairpin: true });
  expect(slave()).toMatchObject({ isolated: false, learning: false, hairpin: true });
  const { index: other } = routes.findLink("rs-b")!;
  expect(errnoOf(failure(() => routes.setBridgePort(other, { hairpin: true })))).toBe("EOPNOTSUPP");
  routes.removeLink("rs-a");
  routes.removeLink(bridge);
});

testAsRoot("addresses of both families come and go, and are there at once", () => {
  using routes = new RouteSocket();
  const index = routes.createBridge({ name: "rs-br" });
  routes.setLink(index, { isUp: true, withoutLinkLocal: true });
  const own = () => routes.addresses().filter((address) => address.index === index);
  const four = { address: "10.99.0.1", prefixLength: 24 };
  const six = { address: "fd00:99::1", prefixLength: 64 };
  for (const address of [four, six, four, six]) routes.replaceAddress(index, address);
  expect(own()).toEqual([
    { index, ...four, scope: "global" },
    { index, ...six, scope: "global" },
  ]);
  const [link] = json("address", "show", "rs-br");
  expect(link!.addr_info).toMatchObject([
    { local: "10.99.0.1", prefixlen: 24, broadcast: "10.99.0.255" },
    { local: "fd00:99::1", prefixlen: 64, nodad: true },
  ]);
  expect((link!.addr_info as { tentative?: boolean }[])[1]!.tentative).toBeUndefined();
  routes.replaceAddress(index, { address: "10.99.1.0", prefixLength: 31 });
  expect(own()).toContainEqual({ index, address: "10.99.1.0", prefixLength: 31, scope: "global" });
  for (const address of [four, six]) expect(routes.removeAddress(index, address)).toBe(true);
  for (const address of [four, six]) expect(routes.removeAddress(index, address)).toBe(false);
  expect(own().length).toBe(1);
  expect(
    routes
      .addresses()
      .filter(({ scope }) => scope === "host")
      .map(({ address }) => address)
      .sort(),
  ).toEqual(["127.0.0.1", "::1"]);
  routes.removeLink(index);
});

testAsRoot("routes are set in place of one another, and listed", () => {
  using routes = new RouteSocket();
  const index = routes.createBridge({ name: "rs-br" });
  ip("link", "add", "rs-a", "master", "rs-br", "type", "veth", "peer", "name", "rs-b");
  for (const name of ["rs-a", "rs-b", "rs-br"])
    routes.setLink(routes.findLink(name)!.index, { isUp: true, withoutLinkLocal: true });
  for (const address of [
    { address: "10.99.0.1", prefixLength: 24 },
    { address: "fd00:99::1", prefixLength: 64 },
  ])
    routes.replaceAddress(index, address);
  routes.replaceRoute({ destination: "default", gateway: "10.99.0.2" });
  routes.replaceRoute({ destination: "default", gateway: "10.99.0.3" });
  routes.replaceRoute({ destination: "10.98.0.0/16" }, index);
  routes.replaceRoute({ destination: "default", gateway: "fd00:99::2" }, index);
  routes.replaceRoute({ destination: "default", gateway: "fd00:99::3" }, index);
  routes.replaceRoute({ destination: "fd00:98::/32", gateway: "fd00:99::4" });
  const listed = routes.routes().filter(({ oif, destination }) => oif === index && !destination.startsWith("fe80"));
  expect(listed).toEqual([
    { family: 4, destination: "default", oif: index, gateway: "10.99.0.3" },
    { family: 4, destination: "10.98.0.0/16", oif: index },
    { family: 4, destination: "10.99.0.0/24", oif: index },
    { family: 6, destination: "fd00:98::/32", oif: index, gateway: "fd00:99::4" },
    { family: 6, destination: "fd00:99::/64", oif: index },
    { family: 6, destination: "default", oif: index, gateway: "fd00:99::3" },
  ]);
  const unreachable = failure(() => routes.replaceRoute({ destination: "10.97.0.0/16", gateway: "192.0.2.1" }));
  expect(unreachable.message).toBe(
    "set the route to 10.97.0.0/16 via 192.0.2.1: ENETUNREACH (network is unreachable): Nexthop has invalid gateway",
  );
  for (const route of [
    { destination: "default" },
    { destination: "10.0.0.1/8" },
    { destination: "10.0.0.0/8", gateway: "fd00::1" },
    { destination: "nowhere", gateway: "fd00::1" },
  ])
    expect(failure(() => routes.replaceRoute(route)).code).toBe("invalid");
  routes.removeLink("rs-a");
  routes.removeLink(index);
});

testAsRoot("what a bridge has learned is listed with what it was told", () => {
  using routes = new RouteSocket();
  const bridge = routes.createBridge({ name: "rs-br", macAddress: "02:ff:00:00:00:01" });
  ip("link", "add", "rs-a", "master", "rs-br", "type", "veth", "peer", "name", "rs-b");
  const { index } = routes.findLink("rs-a")!;
  expect(routes.forwarding()).toContainEqual({
    macAddress: "02:ff:00:00:00:01",
    index: bridge,
    bridgeIndex: bridge,
    vlan: 0,
    type: "local",
  });
  expect(
    routes
      .forwarding()
      .filter((entry) => entry.index === index)
      .map(({ type }) => type),
  ).toContain("local");
  routes.removeLink("rs-a");
  routes.removeLink(bridge);
});
