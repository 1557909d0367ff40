/**
 * Measures published ports: the cost of publishing, and of a connection to one port, with few and with many others. It uses its
 * own network namespaces: a container on a bridge, a host outside, and the host between them.
 *
 *   bun bench/cases/firewall.ts [--runs 20] [--save bench/baselines/NAME.json]
 *
 * Needs root. What dominates is in firewall.md, beside this file.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Firewall } from "../../src/network/firewall/mod.ts";
import type { FirewallNetwork, PortMapping } from "../../src/network/types.ts";
import { enterNetworkNamespace } from "../../tests/support/enter-network-namespace.ts";
import { addBridge, connectHost, NetworkHost } from "../../tests/support/network-lab.ts";
import { saveBaseline } from "../support/save.ts";
import { type Summary, summarize } from "../support/stats.ts";

const GOALS = { publishMs: 0.3, sync5000Ms: 100 };
const CONNECTIONS = 1000;
const NETWORK: FirewallNetwork = {
  ...{ bridge: "br-bench", subnets: ["172.18.0.0/16"], internal: false, icc: true, masquerade: true },
};

const portAt = (hostPort: number): PortMapping => ({
  ...{ protocol: "tcp", hostAddress: "0.0.0.0", hostPort, address: "172.18.0.2", port: 80, bridge: NETWORK.bridge },
});
/** So many ports, of which 8080 is the last. */
const ports = (count: number): PortMapping[] =>
  Array.from({ length: count }, (_, index) => portAt(index === count - 1 ? 8080 : 10_000 + index));

function time(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

function show(what: string, { p50Ms, minMs, p99Ms }: Summary): void {
  const us = (ms: number) => `${(ms * 1000).toFixed(0)} µs`.padStart(10);
  console.log(`${what.padEnd(48)} p50 ${us(p50Ms)}   min ${us(minMs)}   p99 ${us(p99Ms)}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { runs: { type: "string", default: "20" }, save: { type: "string" } } });
  const runs = Number(values.runs);
  enterNetworkNamespace();
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
  await using container = await NetworkHost.create("container");
  await using outside = await NetworkHost.create("outside");
  addBridge(NETWORK.bridge, ["172.18.0.1/16"]);
  connectHost(container, "veth-c", { bridge: NETWORK.bridge, addresses: ["172.18.0.2/16"], gateways: ["172.18.0.1"] });
  const addresses = ["192.0.2.2/24"];
  connectHost(outside, "uplink", { nearAddresses: ["192.0.2.1/24"], addresses, gateways: ["192.0.2.1"] });
  await container.serve("tcp", 80);
  using firewall = new Firewall({ tableName: "bench" });
  const results: Record<string, Summary> = {};
  const sample = (what: string, samples: readonly number[]) => {
    results[what] = summarize(samples);
    show(what, results[what]);
  };
  const repeat = <T>(action: (index: number) => T): T[] => Array.from({ length: runs }, (_, index) => action(index));

  for (const count of [1, 5000]) {
    firewall.sync([NETWORK], ports(count));
    const publish: number[] = [];
    const unpublish: number[] = [];
    repeat((index) => {
      publish.push(time(() => firewall.publish([portAt(20_000 + index)])));
      unpublish.push(time(() => firewall.unpublish([portAt(20_000 + index)])));
    });
    sample(`publish one port beside ${count}`, publish);
    sample(`unpublish it`, unpublish);
  }
  sample(
    "write the table with 5000 ports",
    repeat(() => time(() => firewall.sync([NETWORK], ports(5000)))),
  );
  sample(
    "forget a container's connections, there are few",
    repeat(() => time(() => firewall.forgetConnections(["172.18.0.2"]))),
  );

  // The connections are interleaved, so that other work on the machine affects all of them alike.
  const perConnection: Record<number, number[]> = { 1: [], 1000: [], 10000: [] };
  for (let round = 0; round < Math.max(3, runs / 4); round++)
    for (const [count, samples] of Object.entries(perConnection)) {
      firewall.sync([NETWORK], ports(Number(count)));
      const request = { do: "many", address: "192.0.2.1", port: 8080, count: CONNECTIONS };
      const us = await outside.tell(request);
      if (typeof us !== "number") throw new Error(`connecting: ${us}`);
      samples.push(us / 1000);
    }
  for (const [count, samples] of Object.entries(perConnection))
    sample(`connect to one of ${count} ports, hear a word`, samples);

  const { p50Ms: publishMs } = results["publish one port beside 5000"]!;
  const { p50Ms: syncMs } = results["write the table with 5000 ports"]!;
  console.log(
    `goals: publish ${publishMs <= GOALS.publishMs ? "met" : "MISSED"}, write ${syncMs <= GOALS.sync5000Ms ? "met" : "MISSED"}`,
  );
  if (values.save) saveBaseline(values.save, { runs, results });
}

await main();
