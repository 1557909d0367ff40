import { expect, test } from "bun:test";
import { planResolvConf, type ResolvConfRequest, resolvConfPath } from "./resolv-conf.ts";

const HOST = `# a comment of the host
domain first.example
search example.com lab.example.com
nameserver 127.0.0.53
nameserver 10.99.0.53
nameserver bogus
nameserver FE80:0::1%lo
options edns0 timeout:3
sortlist 130.155.160.0/255.255.240.0
`;

function plan(request: Partial<ResolvConfRequest> = {}) {
  const nothing = { servers: [], search: [], options: [], ipv6: false };
  const planned = planResolvConf({ hostText: HOST, hostPath: "/etc/resolv.conf", ...nothing, ...request });
  return { ...planned, text: planned.text.split("\n").slice(2).join("\n") };
}

const resolver = "127.0.0.11";

// The expected files are Docker 26.1.5's for the same host file and flags, without their first lines.

test("planResolvConf: with a resolver it is the only server, and the host's are asked by it", () => {
  const { text, servers, keepsSingleLabels } = plan({ resolver });
  expect(text).toBe(`nameserver 127.0.0.11
search example.com lab.example.com
options edns0 timeout:3 ndots:0
sortlist 130.155.160.0/255.255.240.0

# Based on host file: '/etc/resolv.conf' (internal resolver)
# ExtServers: [host(127.0.0.53) 10.99.0.53 host(fe80::1%lo)]
# Invalid nameservers: [bogus]
# Overrides: []
# Option ndots from: internal
`);
  expect(servers).toEqual([
    { address: "127.0.0.53", fromHost: true },
    { address: "10.99.0.53", fromHost: false },
    { address: "fe80::1%lo", fromHost: true },
  ]);
  expect(keepsSingleLabels).toBe(false);
});

test("planResolvConf: what the container gives replaces the host's, and its servers are its own", () => {
  const options = ["ndots:3", "rotate"];
  const { text, servers, keepsSingleLabels } = plan({
    resolver,
    servers: ["10.99.0.53", "127.0.0.53"],
    search: ["foo.com"],
    options,
  });
  expect(text).toBe(`nameserver 127.0.0.11
search foo.com
options ndots:3 rotate
sortlist 130.155.160.0/255.255.240.0

# Based on host file: '/etc/resolv.conf' (internal resolver)
# ExtServers: [10.99.0.53 127.0.0.53]
# Invalid nameservers: [bogus]
# Overrides: [nameservers search options]
# Option ndots from: override
`);
  expect(servers.map(({ fromHost }) => fromHost)).toEqual([false, false]);
  expect(keepsSingleLabels).toBe(true);
});

test('planResolvConf: a search domain of "." is none', () => {
  expect(plan({ resolver, search: ["."] }).text).toBe(`nameserver 127.0.0.11
options edns0 timeout:3 ndots:0
sortlist 130.155.160.0/255.255.240.0

# Based on host file: '/etc/resolv.conf' (internal resolver)
# ExtServers: [host(127.0.0.53) 10.99.0.53 host(fe80::1%lo)]
# Invalid nameservers: [bogus]
# Overrides: [search]
# Option ndots from: internal
`);
});

test("planResolvConf: without a resolver the servers are those that the container reaches", () => {
  expect(plan().text).toBe(`nameserver 10.99.0.53
search example.com lab.example.com
options edns0 timeout:3
sortlist 130.155.160.0/255.255.240.0

# Based on host file: '/etc/resolv.conf' (legacy)
# Invalid nameservers: [bogus]
# Overrides: []
`);
  expect(plan({ servers: ["127.0.0.1"] }).text).toStartWith("nameserver 127.0.0.1\n");
});

test("planResolvConf: IPv6 servers are reached from containers with IPv6 only", () => {
  const hostText = "nameserver fd00::53\nnameserver ::1\n";
  const fromHost = (ipv6: boolean) => plan({ hostText, ipv6, resolver }).servers.map((server) => server.fromHost);
  expect(fromHost(true)).toEqual([false, true]);
  expect(fromHost(false)).toEqual([true, true]);
  expect(plan({ hostText, ipv6: true }).text).toStartWith("nameserver fd00::53\n\n");
});

test("planResolvConf: where there is no server, the defaults are", () => {
  for (const hostText of ["", "nameserver\nsearch\noptions\n"]) {
    expect(plan({ hostText, resolver }).text).toBe(`nameserver 127.0.0.11
options ndots:0

# Based on host file: '/etc/resolv.conf' (internal resolver)
# Used default nameservers.
# ExtServers: [8.8.8.8 8.8.4.4]
# Overrides: []
# Option ndots from: internal
`);
  }
  const { text } = plan({ hostText: "nameserver 127.0.0.1\n", ipv6: true });
  expect(text).toBe(`nameserver 8.8.8.8
nameserver 8.8.4.4
nameserver 2001:4860:4860::8888
nameserver 2001:4860:4860::8844

# Based on host file: '/etc/resolv.conf' (legacy)
# Used default nameservers.
# Overrides: []
`);
});

test("planResolvConf: an ndots that is no number does not count", () => {
  const { text, keepsSingleLabels } = plan({ hostText: "options ndots:x ndots:-1 ndots\n", resolver });
  expect(text).toContain("\noptions ndots:0\n");
  expect(keepsSingleLabels).toBe(false);
  expect(plan({ hostText: "options ndots:2\n", resolver }).text).toEndWith("\n# Option ndots from: host\n");
});

test("resolvConfPath: systemd's own resolver stands for the servers that systemd knows", () => {
  expect(resolvConfPath("nameserver 127.0.0.53\noptions edns0\n")).toBe("/run/systemd/resolve/resolv.conf");
  for (const text of ["", "nameserver 127.0.0.53\nnameserver 10.0.0.1\n", "nameserver 127.0.0.1\n"])
    expect(resolvConfPath(text)).toBe("/etc/resolv.conf");
});
