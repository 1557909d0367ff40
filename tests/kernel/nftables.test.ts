// needs: nft
import { beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NETLINK, NetlinkSocket } from "../../src/linux/netlink/mod.ts";
import { resolverRedirect } from "../../src/linux/nftables/mod.ts";
import { Firewall } from "../../src/network/firewall/mod.ts";
import type { ContainerLink, FirewallNetwork, PortMapping } from "../../src/network/types.ts";
import { enterNetworkNamespace } from "../support/enter-network-namespace.ts";
import { testIf } from "../support/test-if.ts";

/** What we write, as the stock nft(8) reads it back from the kernel. */

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");

beforeAll(() => {
  if (isRoot) enterNetworkNamespace();
});

function nft(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("nft", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`nft ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Of a text in template form: without the first line break and what every line is indented by. */
function lines(text: string): string {
  return text.replace(/^\n/, "").replaceAll(/^ {4}/gm, "").replaceAll("  ", "\t").replace(/ *$/, "");
}

testAsRoot("the resolver's redirection is what nft would make of its text", () => {
  using socket = new NetlinkSocket(NETLINK.NETFILTER);
  socket.request(resolverRedirect(40053), "redirecting queries");
  expect(nft("list", "table", "ip", "lighter-resolver")).toBe(
    lines(`
    table ip lighter-resolver {
      chain output {
        type nat hook output priority dstnat; policy accept;
        ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:40053
        ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40053
      }
    }
    `),
  );
});

const NETWORKS: readonly FirewallNetwork[] = [
  { bridge: "br-1", subnets: ["172.18.0.0/16", "fd00:1::/64"], internal: false, icc: true, masquerade: true },
  {
    ...{ bridge: "br-2", subnets: ["172.19.0.0/16", "fd00:2::/64"], internal: false, icc: false, masquerade: true },
    hostAddresses: ["192.0.2.7", "2001:db8::7"],
  },
  { bridge: "br-3", subnets: ["172.20.0.0/16", "fd00:3::/64"], internal: true, icc: true, masquerade: true },
  { bridge: "br-4", subnets: ["172.21.0.0/24"], internal: false, icc: true, masquerade: false },
];
const port = (protocol: PortMapping["protocol"], hostAddress: string, hostPort: number): PortMapping => ({
  ...{ protocol, hostAddress, hostPort, port: 80, bridge: "br-1" },
  address: hostAddress.includes(":") ? "fd00:1::2" : "172.18.0.2",
});
const PORTS: readonly PortMapping[] = [
  ...[
    port("tcp", "0.0.0.0", 8080),
    port("udp", "::", 53),
    port("sctp", "127.0.0.1", 99),
    port("tcp", "2001:db8::1", 1),
  ],
];

const LINKS: readonly ContainerLink[] = [
  { bridge: "br-2", from: "172.19.0.2", to: "172.19.0.3", protocol: "tcp", port: 5432 },
];

const GOLDEN = join(import.meta.dirname, "../golden/firewall/table.nft");

/** Without handles and what is said about nft itself. */
function listJson(): unknown[] {
  const { nftables } = JSON.parse(nft("-j", "list", "table", "inet", "lighter")) as { nftables: object[] };
  return JSON.parse(JSON.stringify(nftables.slice(1), (key, value) => (key === "handle" ? undefined : value)));
}

testAsRoot("the firewall's table is what nft makes of the golden text", () => {
  // ::1 leads to published ports where bridges do not hand packets to the firewall.
  const bridgeCalls = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
  if (existsSync(bridgeCalls)) writeFileSync(bridgeCalls, "1");
  using firewall = new Firewall({ tableName: "lighter" });
  firewall.sync(NETWORKS, PORTS, LINKS);
  firewall.guard({ ipv4: true, ipv6: true });
  const text = nft("list", "table", "inet", "lighter");
  if (process.env.GOLDEN === "update") writeFileSync(GOLDEN, text);
  expect(text).toBe(readFileSync(GOLDEN, "utf8"));
  const ours = listJson();
  firewall.remove();
  nft("-f", GOLDEN);
  expect(listJson()).toEqual(ours);
});
