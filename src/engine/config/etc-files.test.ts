import { expect, test } from "bun:test";
import { planEtcFiles } from "./etc-files.ts";

const HOST = {
  hosts: "127.0.0.1 localhost vm\n",
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
const lines = (list: readonly string[]) => list.map((line) => `${line}\n`).join("");

test("a container's files name itself and the hosts it was given, as with Docker 26", () => {
  const files = planEtcFiles(
    { Hostname: "web" },
    { NetworkMode: "none", ExtraHosts: ["foo:1.2.3.4", "foo6:::1"] },
    HOST,
  );
  expect(files.hosts).toBe(lines([...LOCAL, "1.2.3.4\tfoo", "::1\tfoo6"]));
  expect(files.hostname).toBe("web\n");
});

test("resolv.conf is the host's without servers that only the host can reach", () => {
  expect(planEtcFiles({}, { NetworkMode: "none" }, HOST).resolvConf).toBe(
    "nameserver 9.9.9.9\nsearch lan home\noptions edns0 trust-ad\n",
  );
});

test("each kind of DNS setting that is given replaces the host's", () => {
  const resolvConf = (hostConfig: object) => planEtcFiles({}, { NetworkMode: "none", ...hostConfig }, HOST).resolvConf;
  expect(resolvConf({ Dns: ["1.1.1.1", "127.0.0.1"] })).toBe(
    "nameserver 1.1.1.1\nnameserver 127.0.0.1\nsearch lan home\noptions edns0 trust-ad\n",
  );
  expect(resolvConf({ DnsSearch: ["."], DnsOptions: ["ndots:2"] })).toBe("nameserver 9.9.9.9\noptions ndots:2\n");
});

test("on the host's network the host's files are used as they are, until something is asked for", () => {
  const files = planEtcFiles({ Hostname: "vm" }, { NetworkMode: "host" }, HOST);
  expect(files).toEqual({ hosts: HOST.hosts, hostname: "vm\n", resolvConf: HOST.resolvConf });
  const changed = planEtcFiles({}, { NetworkMode: "host", ExtraHosts: ["a:1.2.3.4"], DnsSearch: ["x"] }, HOST);
  expect(changed.hosts).toBe(lines([...LOCAL, "1.2.3.4\ta"]));
  expect(changed.resolvConf).toBe("nameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch x\noptions edns0 trust-ad\n");
});
