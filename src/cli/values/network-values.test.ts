import { expect, test } from "bun:test";
import { parseNetwork, parseSearchDomain } from "./network-values.ts";

test("a network's options by name, each in its place", () => {
  const text = "name=front,alias=web,ALIAS=www,ip=10.0.0.3,gw-priority=-5";
  expect(parseNetwork(`${text},driver-opt=com.docker.network.endpoint.ifname=lan0`)).toEqual({
    target: "front",
    aliases: ["web", "www"],
    links: [],
    linkLocalIps: [],
    driverOpts: { "com.docker.network.endpoint.ifname": "lan0" },
    ip: "10.0.0.3",
    ip6: "",
    macAddress: "",
    gatewayPriority: -5,
  });
});

test("a search domain, with or without the root's dot", () => {
  expect([".", "example.com", " a-b.C. ", "1a"].map(parseSearchDomain)).toEqual([".", "example.com", "a-b.C", "1a"]);
  for (const text of ["", "1.2", "a..b", "-a", "a-", "a b", "a_b", "..", `${"a".repeat(254)}.b`])
    expect(() => parseSearchDomain(text)).toThrow(`${text} is not a valid domain`);
});

test("a priority is a number", () => {
  expect(() => parseNetwork("name=front,gw-priority=high")).toThrow("invalid gw-priority (high): invalid syntax");
  expect(() => parseNetwork("name=front,gw-priority=99999999999999999999")).toThrow(
    "invalid gw-priority (99999999999999999999): value out of range",
  );
});
