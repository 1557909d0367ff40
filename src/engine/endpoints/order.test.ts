import { expect, test } from "bun:test";
import type { EndpointRecord, NetworkRecord } from "../networks/types.ts";
import { type ActiveEndpoint, chooseGateways, freeInterfaceName, gatewaysThrough, inInterfaceOrder } from "./order.ts";

const endpoint = (networkName: string, gatewayPriority?: number): EndpointRecord => ({
  networkId: networkName,
  networkName,
  wish: gatewayPriority === undefined ? {} : { gatewayPriority },
});

/** `gateways`: "4", "6" or "46". */
function active(
  name: string,
  gateways: string,
  options: { priority?: number; internal?: boolean } = {},
): ActiveEndpoint {
  const state = {
    ...{ endpointId: name, interfaceName: "", hostInterface: "", macAddress: "" },
    ...(gateways.includes("4") ? { gateway4: `4 of ${name}` } : {}),
    ...(gateways.includes("6") ? { gateway6: `6 of ${name}` } : {}),
  };
  const network = { name, internal: options.internal ?? false } as NetworkRecord;
  return { endpoint: { ...endpoint(name, options.priority), state }, state, network };
}

const chosen = (...list: ActiveEndpoint[]) => {
  const gateways = chooseGateways(list);
  return list.flatMap((one) => gatewaysThrough(one, gateways));
};

test("interfaces are made in the order in which their networks are the way out: that of none is eth0 before one that may be", () => {
  const networks: Record<string, Partial<NetworkRecord>> = {
    ...{ inner: { internal: true }, both: { enableIPv6: true }, sealed: { enableIPv6: true, internal: true } },
    island: { enableIPv6: true, driver: "macvlan" },
  };
  const names = ["zoo", "sealed", "bridge", "inner", "island", "low", "both", "high", "air"];
  const priorities: Record<string, number> = { low: -1, high: 5 };
  const order = inInterfaceOrder(
    names.map((name) => endpoint(name, priorities[name])),
    ({ networkName: name }) =>
      ({
        name,
        driver: "bridge",
        enableIPv4: true,
        enableIPv6: false,
        internal: false,
        options: {},
        ...networks[name],
      }) as NetworkRecord,
  );
  expect(order.map(({ networkName }) => networkName)).toEqual([
    ...["high", "both", "air", "bridge", "island", "zoo", "inner", "sealed"],
    "low",
  ]);
});

test("an interface gets the lowest number that is free", () => {
  expect(freeInterfaceName(new Set(), "eth")).toBe("eth0");
  expect(freeInterfaceName(new Set(["lo", "eth0", "eth2"]), "eth")).toBe("eth1");
});

test("the default route is of the network that is first by name", () => {
  expect(chosen(active("b", "4"), active("a", "4"))).toEqual(["4 of a"]);
});

test("a network with gateways of both families comes before, and a priority before that", () => {
  expect(chosen(active("b", "46"), active("a", "4"))).toEqual(["4 of b", "6 of b"]);
  expect(chosen(active("b", "46"), active("c", "4", { priority: 1 }))).toEqual(["6 of b", "4 of c"]);
});

test("an internal network has no default route", () => {
  expect(chosen(active("a", "4", { internal: true }))).toEqual([]);
  expect(chosen(active("a", "4", { internal: true }), active("b", "4"))).toEqual(["4 of b"]);
});
