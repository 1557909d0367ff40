import { expect, test } from "bun:test";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { type NetworkFacts, ownHostNames, planEtcFiles } from "./etc-files.ts";

const HOST = {
  hosts: "127.0.0.1 localhost vm\n",
  resolvConfPath: "/etc/resolv.conf",
  resolvConf: "# by hand\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch lan home\noptions edns0 trust-ad\n",
};

const LOCAL = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::0\tip6-localnet",
  "ff00::0\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];
const NO_NETWORK: NetworkFacts = { hosts: [], usesResolver: false, ipv6: false, hostGateway: () => "" };

function plan(config: DockerContainerConfig, hostConfig: DockerHostConfig, network: Partial<NetworkFacts> = {}) {
  return planEtcFiles(config, hostConfig, HOST, { ...NO_NETWORK, ...network });
}

/** Without its comments and empty lines. */
const settings = (text: string) => text.split("\n").filter((line) => /^[^#]/.test(line));
const lines = (list: readonly string[]) => list.map((line) => `${line}\n`).join("");

test("a container's files name itself and the hosts it was given, as with Docker 26", () => {
  const files = plan({ Hostname: "web" }, { NetworkMode: "none", ExtraHosts: ["foo:1.2.3.4", "foo6:::1"] });
  expect(files.hosts).toBe(lines([...LOCAL, "1.2.3.4\tfoo", "::1\tfoo6"]));
  expect(files.hostname).toBe("web\n");
});

test("links and the container's own addresses come last, and host-gateway is an address of the host", () => {
  const hosts = [["172.17.0.2", "db 0123456789ab"] as const, ["172.17.0.3", "web"] as const];
  const files = plan({}, { ExtraHosts: ["host:host-gateway"] }, { hosts, hostGateway: () => "172.17.0.1" });
  expect(files.hosts).toBe(lines([...LOCAL, "172.17.0.1\thost", "172.17.0.2\tdb 0123456789ab", "172.17.0.3\tweb"]));
});

test("a container is called by its full name and by the first part of it", () => {
  expect(ownHostNames({ Hostname: "web" })).toBe("web");
  expect(ownHostNames({ Hostname: "web", Domainname: "example.org" })).toBe("web.example.org web");
  expect(ownHostNames({ Hostname: "web.example.org" })).toBe("web.example.org web");
});

test("resolv.conf is the host's without servers that only the host can reach", () => {
  expect(settings(plan({}, { NetworkMode: "none" }).resolvConf)).toEqual([
    "nameserver 9.9.9.9",
    "search lan home",
    "options edns0 trust-ad",
  ]);
});

test("on a user-defined network the resolver stands in front of the servers", () => {
  expect(settings(plan({}, { NetworkMode: "front" }, { usesResolver: true }).resolvConf)).toEqual([
    "nameserver 127.0.0.11",
    "search lan home",
    "options edns0 trust-ad ndots:0",
  ]);
});

test("each kind of DNS setting that is given replaces the host's", () => {
  const resolvConf = (hostConfig: object) => settings(plan({}, { NetworkMode: "none", ...hostConfig }).resolvConf);
  expect(resolvConf({ Dns: ["1.1.1.1", "127.0.0.1"] })).toEqual([
    "nameserver 1.1.1.1",
    "nameserver 127.0.0.1",
    "search lan home",
    "options edns0 trust-ad",
  ]);
  expect(resolvConf({ DnsSearch: ["."], DnsOptions: ["ndots:2"] })).toEqual(["nameserver 9.9.9.9", "options ndots:2"]);
});

test("on the host's network the host's files are used as they are, until something is asked for", () => {
  const files = plan({ Hostname: "vm" }, { NetworkMode: "host" });
  expect(files).toEqual({ hosts: HOST.hosts, hostname: "vm\n", resolvConf: HOST.resolvConf });
  const changed = plan({}, { NetworkMode: "host", ExtraHosts: ["a:1.2.3.4"], DnsSearch: ["x"] });
  expect(changed.hosts).toBe(lines([...LOCAL, "1.2.3.4\ta"]));
  expect(settings(changed.resolvConf)).toEqual([
    "nameserver 127.0.0.53",
    "nameserver 9.9.9.9",
    "search x",
    "options edns0 trust-ad",
  ]);
});
