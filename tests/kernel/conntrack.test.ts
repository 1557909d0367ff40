// needs: nft

import { beforeAll, beforeEach, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { LighterError } from "../../src/base/errors.ts";
import { parseIpAddress } from "../../src/base/ip-address.ts";
import { listAll, parseConnection } from "../../src/linux/conntrack/messages.ts";
import { forgetAddresses, forgetPlainToPort } from "../../src/linux/conntrack/mod.ts";
import { type Message, NETLINK, NetlinkSocket } from "../../src/linux/netlink/mod.ts";
import { AF_INET, AF_INET6 } from "../../src/linux/sys/abi.ts";
import { enterNetworkNamespace } from "../support/enter-network-namespace.ts";
import { testIf } from "../support/test-if.ts";

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");
const UDP = 17;
let socket: NetlinkSocket;

beforeAll(() => {
  if (!isRoot) return;
  enterNetworkNamespace();
  const ruleset = [
    "add table inet t; add chain inet t c { type filter hook output priority 0; }",
    "add rule inet t c ct state new",
    "add rule inet t c meta l4proto { icmp, ipv6-icmp } drop", // nobody hears that nobody listens
  ];
  expect(spawnSync("nft", [ruleset.join("; ")], { encoding: "utf8" }).stderr).toBe("");
  socket = new NetlinkSocket(NETLINK.NETFILTER);
});

beforeEach(() => {
  if (isRoot) forgetAddresses(socket, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"].map(parseIpAddress));
});

/** A datagram each from `source` to so many ports from 10000 on, whether anybody is there or not. */
async function sendToPorts(source: string, destination: string, count: number): Promise<void> {
  const sender: Socket = createSocket(source.includes(":") ? "udp6" : "udp4").bind(0, source);
  await once(sender, "listening");
  const sent = Array.from(
    { length: count },
    (_, index) => new Promise<void>((resolve) => sender.send("?", 10_000 + index, destination, () => resolve())),
  );
  await Promise.all(sent);
  sender.close();
}

/** How many connections of UDP come from each address. */
function counts(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const message of socket.dump(listAll(), "listing connections")) {
    const connection = parseConnection(message);
    if (connection?.original.protocol !== UDP) continue;
    const source = String(connection.original.source.at(-1));
    found[source] = (found[source] ?? 0) + 1;
  }
  return found;
}

/** One that deletes no connections by a filter. */
class SocketOfLinux6_7 extends NetlinkSocket {
  override request(messages: readonly Uint8Array[], what: string): Message[] {
    if (what === "forgetting connections") throw new LighterError("kernel", what, { errno: "EINVAL" });
    return super.request(messages, what);
  }
}

const TEN_OTHERS = Array.from({ length: 10 }, (_, index) => parseIpAddress(`127.0.1.${index}`));

for (const [many, count] of [
  ["few", 10],
  ["many", 1500],
] as const)
  for (const [by, isOld, others] of [
    ["by a filter", false, []],
    ["by a list, of many addresses", false, TEN_OTHERS],
    ["where the kernel deletes by no filter", true, []],
  ] as const)
    testAsRoot(`of ${many} connections those of the addresses that have gone are forgotten ${by}`, async () => {
      await sendToPorts("127.0.0.2", "127.0.0.4", count);
      await sendToPorts("127.0.0.3", "127.0.0.4", count);
      await sendToPorts("127.0.0.3", "127.0.0.2", 3);
      expect(counts()).toEqual({ 2: count, 3: count + 3 });
      using old = new SocketOfLinux6_7(NETLINK.NETFILTER);
      const forget = (...addresses: string[]) =>
        forgetAddresses(isOld ? old : socket, [...addresses.map(parseIpAddress), ...others]);
      forget("127.0.0.2");
      expect(counts()).toEqual({ 3: count });
      forget("127.0.0.9");
      expect(counts()).toEqual({ 3: count });
      forget("127.0.0.2", "127.0.0.3");
      expect(counts()).toEqual({});
    });

testAsRoot("connections to one port are forgotten, of one address or of all of a family", async () => {
  await sendToPorts("127.0.0.2", "127.0.0.3", 3);
  await sendToPorts("127.0.0.2", "127.0.0.4", 3);
  await sendToPorts("::1", "::1", 3);
  const [protocol, port] = [UDP, 10_001];
  forgetPlainToPort(socket, { family: AF_INET, address: parseIpAddress("127.0.0.4"), protocol, port });
  expect(counts()).toEqual({ 1: 3, 2: 5 });
  forgetPlainToPort(socket, { family: AF_INET, protocol, port });
  expect(counts()).toEqual({ 1: 3, 2: 4 });
  forgetPlainToPort(socket, { family: AF_INET6, protocol, port });
  expect(counts()).toEqual({ 1: 2, 2: 4 });
});
