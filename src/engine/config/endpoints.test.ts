import { expect, test } from "bun:test";
import { LighterError } from "../../base/errors.ts";
import type { DockerEndpointSettings } from "../../spec/docker-api.ts";
import { checkWish, parseConnectWish, parseLink, planEndpoints } from "./endpoints.ts";

const names = (mode: string, given: Record<string, DockerEndpointSettings> = {}) =>
  planEndpoints({}, { NetworkMode: mode }, given).map(({ networkName }) => networkName);

test("a container is in the network of its mode, or in those it names", () => {
  expect(names("")).toEqual(["bridge"]);
  expect(names("default", { default: {} })).toEqual(["bridge"]);
  expect(names("none")).toEqual(["none"]);
  expect(names("host")).toEqual(["host"]);
  expect(names("front")).toEqual(["front"]);
  expect(names("front", { back: {}, front: {} })).toEqual(["back", "front"]);
  expect(names("container:x")).toEqual([]);
  expect(planEndpoints({ NetworkDisabled: true }, {}, {})).toEqual([]);
});

test("a network that cannot be shared allows no other", () => {
  expect(() => names("none", { front: {} })).toThrow("one of the networks in private (none) mode");
  expect(() => names("host", { front: {} })).toThrow("container sharing network namespace with another container");
  expect(() => names("container:x", { front: {} })).toThrow("container sharing network namespace");
  expect(names("host", { host: {} })).toEqual(["host"]);
});

test("of another container's network nothing but a MAC address may be asked for, which means nothing", () => {
  const plan = (settings: DockerEndpointSettings) => names("container:0123", { "container:web": settings });
  expect(plan({ MacAddress: "02:42:ac:11:00:09" })).toEqual([]);
  expect(() => plan({ IPAMConfig: { IPv4Address: "10.0.0.5" } })).toThrow(
    new LighterError(
      "invalid",
      "invalid config for network container:web: invalid endpoint settings:\n" +
        "user specified IP address is supported on user defined networks only",
    ),
  );
});

test("of what is empty it is kept that it was given, addresses in their shortest form", () => {
  const settings: DockerEndpointSettings = {
    IPAMConfig: { IPv4Address: "10.0.0.5", IPv6Address: "FD00:0::05", LinkLocalIPs: [] },
    Links: ["db:data"],
    Aliases: [],
    MacAddress: "02-42-AC-11-00-09",
    DriverOpts: {},
    GwPriority: 7,
  };
  expect(parseConnectWish(settings)).toEqual({
    ipv4Address: "10.0.0.5",
    ipv6Address: "fd00::5",
    links: ["db:data"],
    macAddress: "02:42:ac:11:00:09",
    gatewayPriority: 7,
    givenEmpty: ["aliases", "driverOpts"],
  });
});

test("a MAC address of the container as a whole is the main network's", () => {
  const plan = (MacAddress: string, front: DockerEndpointSettings) =>
    planEndpoints({ MacAddress }, { NetworkMode: "front" }, { front, back: {} }).map(({ wish }) => wish.macAddress);
  expect(plan("02:42:ac:11:00:09", {})).toEqual(["02:42:ac:11:00:09", undefined]);
  expect(() => plan("02:42:ac:11:00:09", { MacAddress: "02:42:ac:11:00:08" })).toThrow(
    "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
  );
  expect(() => planEndpoints({ MacAddress: "zz" }, {}, {})).toThrow(
    new LighterError("invalid", "invalid config for network bridge: invalid MAC address zz"),
  );
  expect(() => plan("03:42:ac:11:00:09", {})).toThrow("it is a group's");
});

test("a link is a name and an alias, also as inspect shows it", () => {
  expect(parseLink("db")).toEqual({ name: "db", alias: "db" });
  expect(parseLink("db:data")).toEqual({ name: "db", alias: "data" });
  expect(parseLink("/db:/web/data")).toEqual({ name: "db", alias: "data" });
  expect(() => parseLink("")).toThrow("empty string specified for links");
  expect(() => parseLink("a:b:c")).toThrow("bad format for links: a:b:c");
});

const ONLY_CONFIGURED =
  "user specified IP address is supported only when connecting to networks with user configured subnets";
const network = (...configuredSubnets: string[]) => ({ name: "front", configuredSubnets });

const BAD: [Parameters<typeof checkWish>, string][] = [
  [[{ ipv4Address: "zz" }, "front", network()], `* invalid IPv4 address: zz\n* ${ONLY_CONFIGURED}`],
  [[{ ipv4Address: "10.9.9.9" }, "front", network()], ONLY_CONFIGURED],
  [
    [{ ipv4Address: "10.9.9.9" }, "front", network("10.77.0.0/24")],
    "no configured subnet or ip-range contain the IP address 10.9.9.9",
  ],
  [[{ ipv6Address: "fd00::5" }, "front", network("10.77.0.0/24")], ONLY_CONFIGURED],
  [
    [{ ipv4Address: "172.17.0.7" }, "bridge", network()],
    `* user specified IP address is supported on user defined networks only\n* ${ONLY_CONFIGURED}`,
  ],
  [
    [{ aliases: ["x"] }, "bridge", network()],
    "network-scoped alias is supported only for containers in user defined networks",
  ],
  [[{ linkLocalIPs: ["zz"] }, "front", undefined], "invalid link-local IP address: zz"],
];
for (const [args, message] of BAD)
  test(`a wish is refused: ${message}`, () => {
    expect(() => checkWish(...args)).toThrow(new LighterError("invalid", `invalid endpoint settings:\n${message}`));
  });

test("a wish within a subnet that somebody asked for passes", () => {
  checkWish({ ipv4Address: "10.77.0.255", ipv6Address: "fd00::5" }, "front", network("10.77.0.0/24", "fd00::/64"));
  checkWish({ ipv4Address: "10.9.9.9", aliases: ["x"] }, "front", undefined);
});
