// needs: ip
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import { BRIDGE_GROUP, enableForwarding, startBridge } from "../../src/network/host-settings.ts";
import { enterNetworkNamespace, ip } from "../support/enter-network-namespace.ts";
import { testIf } from "../support/test-if.ts";

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");
const directory = mkdtempSync(join(tmpdir(), "lighter-settings-"));

beforeAll(() => {
  if (isRoot) enterNetworkNamespace();
});

afterAll(() => rmSync(directory, { recursive: true }));

const get = (path: string): string => readFileSync(`/proc/sys/net/${path}`, "utf8").trim();
const set = (path: string, value: string): void => writeFileSync(`/proc/sys/net/${path}`, value);
const forwarding = () => [get("ipv4/ip_forward"), get("ipv6/conf/all/forwarding")];

function setForwarding(ipv4: string, ipv6: string): void {
  set("ipv4/ip_forward", ipv4);
  set("ipv6/conf/all/forwarding", ipv6);
}

testAsRoot("forwarding is turned on in the families wanted, and who turned it on is remembered", () => {
  const memory = join(directory, "turned-on");
  setForwarding("0", "0");
  expect(enableForwarding({ ipv4: true, ipv6: false }, memory)).toEqual({ ipv4: true, ipv6: false });
  expect(forwarding()).toEqual(["1", "0"]);
  expect(enableForwarding({ ipv4: true, ipv6: true }, memory)).toEqual({ ipv4: true, ipv6: true });
  expect(forwarding()).toEqual(["1", "1"]);
  expect(enableForwarding({ ipv4: true, ipv6: true }, memory)).toEqual({ ipv4: true, ipv6: true });
  setForwarding("0", "0");
  expect(enableForwarding({ ipv4: false, ipv6: false }, memory)).toEqual({ ipv4: true, ipv6: true });
  expect(forwarding()).toEqual(["0", "0"]);
});

testAsRoot("a host that was a router before is none of our making", () => {
  setForwarding("1", "0");
  expect(enableForwarding({ ipv4: true, ipv6: true }, join(directory, "before"))).toEqual({ ipv4: false, ipv6: true });
  setForwarding("1", "1");
  expect(enableForwarding({ ipv4: true, ipv6: true }, join(directory, "before too"))).toEqual({
    ipv4: false,
    ipv6: false,
  });
});

testAsRoot("interfaces that take their addresses from a router go on doing so, and others do not begin to", () => {
  setForwarding("1", "0");
  for (const name of ["takes", "none"]) ip("link", "add", name, "type", "veth");
  set("ipv6/conf/takes/accept_ra", "1");
  set("ipv6/conf/none/accept_ra", "0");
  enableForwarding({ ipv4: true, ipv6: true }, join(directory, "router"));
  expect([get("ipv6/conf/takes/accept_ra"), get("ipv6/conf/none/accept_ra")]).toEqual(["2", "0"]);
});

testAsRoot("a bridge is brought up with its settings, as often as one likes", () => {
  using socket = new RouteSocket();
  const index = socket.createBridge({ name: "br-one" });
  for (const loopback of [true, false, true]) {
    startBridge({ name: "br-one", index }, { ipv6: true, loopback });
    expect(socket.findLink(index)).toMatchObject({ isUp: true });
    const names = ["ipv4/conf/br-one/route_localnet", "ipv6/conf/br-one/accept_ra", "ipv6/conf/br-one/disable_ipv6"];
    expect(names.map(get)).toEqual([loopback ? "1" : "0", "0", "0"]);
  }
  expect(ip("-d", "link", "show", "br-one")).toContain(`group ${BRIDGE_GROUP}`);
  expect(ip("-6", "route", "show", "table", "local", "::1").split("\n")[0]).toContain("dev lo");
  expect(ip("-6", "route", "show", "table", "local", "::1")).toContain(
    `dev br-one proto static metric ${1024 + index}`,
  );
  expect(ip("route", "get", "::1")).toContain("dev lo");
});

testAsRoot("a bridge without IPv6 has none of it, its link-local address neither", () => {
  using socket = new RouteSocket();
  const index = socket.createBridge({ name: "br-two" });
  startBridge({ name: "br-two", index }, { ipv6: false, loopback: false });
  expect(get("ipv6/conf/br-two/disable_ipv6")).toBe("1");
  expect(ip("-6", "address", "show", "br-two")).toBe("");
  expect(ip("-6", "route", "show", "table", "local", "dev", "br-two")).toBe("");
});
