import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DaemonOptions, parseDaemonOptions } from "./options.ts";
import { REFUSED, SETTINGS } from "./settings.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-config-"));
const path = join(directory, "daemon.json");
afterAll(() => rmSync(directory, { recursive: true }));

function parse(file: string, ...flags: string[]): DaemonOptions {
  writeFileSync(path, file);
  return parseDaemonOptions(["--config-file", path, ...flags], {})!;
}

test("an empty file and no flags are the defaults", () => {
  for (const file of ["{}", "", " \n"])
    expect(parse(file)).toMatchObject({
      hosts: [{ kind: "unix", path: "/run/lighter/lighter.sock" }],
      tls: undefined,
      dataRoot: "/var/lib/lighter",
      execRoot: "/run/lighter",
      log: { level: "info", format: "text" },
      metrics: undefined,
      registry: { mirrors: [], insecureRegistries: [] },
      maxUploads: 5,
      downloadAttempts: 5,
      shutdownTimeoutS: 15,
      labels: [],
      defaults: { ipcMode: "private", cgroupnsMode: "private", log: { driver: "json-file", options: {} } },
    });
});

test("an empty cdi-spec-dir means no directory", () => {
  expect(parse('{"cdi-spec-dirs": [""]}').cdiDirectories).toEqual([]);
  expect(parse("{}").buildGc).toEqual({ enabled: true, reservedBytes: undefined, policy: undefined });
  const builder =
    '{"gc": {"enabled": false, "defaultKeepStorage": "20GB", "policy": [{"keepStorage": "1kb", "filter": ["unused-for=1h"]}]}}';
  for (const { buildGc } of [parse(`{"builder": ${builder}}`), parse("{}", "--builder", builder)]) {
    expect(buildGc).toMatchObject({ enabled: false, reservedBytes: 20 * 2 ** 30 });
    expect(buildGc.policy).toMatchObject([{ all: false, reservedBytes: 1024, unusedForMs: 3_600_000 }]);
  }
  expect(parse("{}").cdiDirectories).toEqual(["/etc/cdi", "/var/run/cdi"]);
});

test("every key of the file has a flag that says the same", () => {
  const profile = join(directory, "profile.json");
  writeFileSync(profile, '{"defaultAction": "SCMP_ACT_ALLOW"}');
  const table: [key: string, value: unknown, flags: string[], what: (options: DaemonOptions) => unknown][] = [
    ["data-root", "/d", ["--data-root", "/d"], ({ dataRoot }) => dataRoot],
    ["exec-root", "/e", ["--exec-root=/e"], ({ execRoot }) => execRoot],
    ["pidfile", "/p", ["-p", "/p"], ({ pidPath }) => pidPath],
    ["hosts", ["unix:///a", "fd://"], ["-H", "unix:///a", "--host=fd://"], ({ hosts }) => hosts],
    ["hosts", ["tcp://127.0.0.1:5"], ["-Htcp://127.0.0.1:5"], ({ hosts }) => hosts],
    ["group", "adm", ["-G=adm"], ({ group }) => group],
    ["tls", true, ["--tls"], ({ tls }) => tls],
    ["tlsverify", true, ["--tlsverify=1"], ({ tls }) => tls],
    ["debug", true, ["-D"], ({ debug, log }) => [debug, log.level]],
    ["log-level", "warn", ["-l", "warn"], ({ log }) => log.level],
    ["log-format", "json", ["--log-format", "json"], ({ log }) => log.format],
    ["metrics-addr", "127.0.0.1:1", ["--metrics-addr", "127.0.0.1:1"], ({ metrics }) => metrics],
    ["labels", ["a=b", "c="], ["--label", "a=b", "--label", "c="], ({ labels }) => labels],
    ["features", { a: true, b: false }, ["--feature", "a", "--feature", "b=false"], ({ features }) => features],
    ["shutdown-timeout", -1, ["--shutdown-timeout", "-1"], ({ shutdownTimeoutS }) => shutdownTimeoutS],
    ["registry-mirrors", ["http://m:1"], ["--registry-mirror", "http://m:1"], ({ registry }) => registry.mirrors],
    [
      "insecure-registries",
      ["10.0.0.0/8"],
      ["--insecure-registry", "10.0.0.0/8"],
      ({ registry }) => registry.insecureRegistries,
    ],
    ["max-concurrent-downloads", 7, ["--max-concurrent-downloads", "7"], ({ maxDownloads }) => maxDownloads],
    ["max-concurrent-uploads", 7, ["--max-concurrent-uploads", "7"], ({ maxUploads }) => maxUploads],
    ["max-download-attempts", 7, ["--max-download-attempts", "7"], ({ downloadAttempts }) => downloadAttempts],
    ["log-driver", "none", ["--log-driver", "none"], ({ defaults }) => defaults.log.driver],
    ["log-opts", { "max-size": "1m" }, ["--log-opt", "max-size=1m"], ({ defaults }) => defaults.log.options],
    [
      "default-ulimits",
      { nofile: { Name: "nofile", Soft: 1, Hard: 2 }, core: { Soft: 0, Hard: 0 } },
      ["--default-ulimit", "nofile=1:2", "--default-ulimit", "core=0"],
      ({ defaults }) => defaults.ulimits,
    ],
    ["default-shm-size", "1m", ["--default-shm-size", "1048576"], ({ defaults }) => defaults.shmBytes],
    ["default-ipc-mode", "shareable", ["--default-ipc-mode", "shareable"], ({ defaults }) => defaults.ipcMode],
    ["default-cgroupns-mode", "host", ["--default-cgroupns-mode", "host"], ({ defaults }) => defaults.cgroupnsMode],
    ["no-new-privileges", true, ["--no-new-privileges"], ({ defaults }) => defaults.noNewPrivileges],
    ["seccomp-profile", profile, ["--seccomp-profile", profile], ({ defaults }) => defaults.seccompProfile],
    ["cgroup-parent", "/x", ["--cgroup-parent", "/x"], ({ defaults }) => defaults.cgroupParent],
    ["init", true, ["--init"], ({ defaults }) => defaults.init],
    ["dns", ["1.1.1.1"], ["--dns", "1.1.1.1"], ({ defaults }) => defaults.dns],
    ["dns-opts", ["ndots:1"], ["--dns-opt", "ndots:1"], ({ defaults }) => defaults.dnsOptions],
    ["dns-search", ["a.b"], ["--dns-search", "a.b"], ({ defaults }) => defaults.dnsSearch],
    ["bridge", "br9", ["-b", "br9"], ({ networks }) => networks.defaultBridge?.foreignName],
    ["bridge", "none", ["--bridge=none"], ({ networks }) => networks.defaultBridge],
    ["bip", "10.0.0.1/24", ["--bip", "10.0.0.1/24"], ({ networks }) => networks.defaultBridge?.address],
    ["bip6", "fd00::1/64", ["--bip6", "fd00::1/64"], ({ networks }) => networks.defaultBridge?.address6],
    ["fixed-cidr", "10.0.0.0/25", ["--fixed-cidr", "10.0.0.0/25"], ({ networks }) => networks.defaultBridge?.fixedCidr],
    ["fixed-cidr-v6", "fd00::/64", ["--fixed-cidr-v6=fd00::/64"], ({ networks }) => networks.defaultBridge?.fixedCidr6],
    ["icc", false, ["--icc=false"], ({ networks }) => networks.defaultBridge?.icc],
    ["ip-masq", false, ["--ip-masq=false"], ({ networks }) => networks.defaultBridge?.masquerade],
    ["ipv6", true, ["--ipv6"], ({ networks }) => networks.defaultBridge?.enableIPv6],
    ["mtu", 1400, ["--mtu", "1400"], ({ networks }) => networks.defaultBridge?.mtu],
    ["ip", "127.0.0.1", ["--ip", "127.0.0.1"], ({ networks }) => networks.defaultBridge?.hostAddress],
    ["iptables", false, ["--iptables=false"], ({ networks }) => networks.firewall],
    ["ip6tables", false, ["--ip6tables=false"], ({ networks }) => networks.firewall6],
    ["ip-forward", false, ["--ip-forward=false"], ({ networks }) => networks.forwarding],
    ["host-gateway-ip", "10.0.0.9", ["--host-gateway-ip=10.0.0.9"], ({ networks }) => networks.hostGateways],
    [
      "default-address-pools",
      [
        { base: "10.0.0.0/8", size: 24 },
        { base: "fd00::/48", size: 64 },
      ],
      ["--default-address-pool", "base=10.0.0.0/8,size=24", "--default-address-pool", "size=64,base=fd00::/48"],
      ({ networks }) => networks.addressPools,
    ],
    [
      "default-network-opts",
      { bridge: { a: "b=c", d: "e" } },
      ["--default-network-opt", "bridge=a=b=c", "--default-network-opt", "bridge=d=e"],
      ({ networks }) => networks.defaultOptions,
    ],
  ];
  for (const [key, value, flags, what] of table) {
    const byFlag = what(parse("{}", ...flags));
    expect([key, byFlag]).toEqual([key, what(parse(JSON.stringify({ [key]: value })))]);
    expect([key, byFlag]).not.toEqual([key, what(parse("{}"))]);
  }
});

test("what asks for nothing that is not so anyway is accepted", () => {
  for (const file of [
    { "live-restore": true, "exec-opts": ["native.cgroupdriver=cgroupfs"], "default-runtime": "lighter" },
    // The form that NVIDIA's installer writes.
    {
      runtimes: { nvidia: { path: "nvidia-container-runtime", args: [], runtimeArgs: [] } },
      "default-runtime": "nvidia",
    },
    { "default-runtime": "runc", runtimes: { nvidia: { path: "nvidia-container-runtime" } } },
    { "userland-proxy": true, "network-control-plane-mtu": 1500 },
    { "storage-driver": "overlay2", experimental: false, "selinux-enabled": false, "userns-remap": "", debug: null },
  ])
    expect(parse(JSON.stringify(file)).debug).toBe(false);
});

test("what cannot be meant or done is refused by name", () => {
  const table: [file: string, flags: string[], message: string][] = [
    [
      '{"registry-mirrors": ["http://m"], "debug": true}',
      ["--registry-mirror=http://n", "--debug"],
      `configuration "${path}": the following directives are specified both as a flag and in the configuration file: ` +
        "registry-mirrors: (from flag: [http://n], from file: [http://m]), debug: (from flag: true, from file: true)",
    ],
    ['{"registry-mirrors": "http://m"}', [], `configuration "${path}": registry-mirrors is not a list`],
    ['{"foo": 1, "Debug": true}', [], "the following directives don't match any configuration option: foo, Debug"],
    ["{", [], `configuration "${path}"`],
    ["[]", [], `configuration "${path}": it is not an object`],
    ['{"debug": "yes"}', [], `configuration "${path}": debug is not a boolean`],
    ['{"labels": ["ab"]}', [], "labels: bad attribute format: ab"],
    ['{"max-concurrent-downloads": -1}', [], "max-concurrent-downloads: invalid max concurrent downloads: -1"],
    ['{"default-shm-size": "12z"}', [], "default-shm-size: invalid size: '12z'"],
    ['{"log-level": "x"}', [], "log-level: invalid logging level: x"],
    ['{"log-format": "x"}', [], "log-format: invalid log format: x"],
    ['{"default-runtime": "crun"}', [], "default-runtime: specified default runtime 'crun' does not exist"],
    ['{"exec-opts": ["native.cgroupdriver=x"]}', [], 'exec-opts: native.cgroupdriver option "x" is invalid'],
    ['{"exec-opts": ["foo=foo"]}', [], 'exec-opts: invalid option: "foo=foo"'],
    ['{"dns": ["x"]}', [], "dns: invalid IP address: x"],
    ['{"dns-search": ["a b"]}', [], "dns-search: a b is not a valid domain"],
    ['{"hosts": ["x://y"]}', [], 'hosts: "x://y" is none of'],
    ['{"hosts": ["tcp://:99999"]}', [], 'hosts: "tcp://:99999" is none of'],
    ['{"default-ipc-mode": "host"}', [], 'IPC mode "host" is not supported as default value'],
    ['{"default-cgroupns-mode": "x"}', [], "default cgroup namespace mode (x) is invalid"],
    ['{"metrics-addr": "a b"}', [], 'metrics-addr: "a b" is not HOST:PORT'],
    ['{"default-ulimits": {"nofile": {"Hard": 5, "Soft": 9}}}', [], "ulimit soft limit must be less"],
    ['{"default-ulimits": {"a": {"Name": "b", "Hard": 5, "Soft": 5}}}', [], 'default-ulimits["a"].Name is "b"'],
    ['{"default-ulimits": {"a": {"Soft": 5}}}', [], 'default-ulimits["a"].Hard is missing'],
    ['{"seccomp-profile": "/etc/hostname"}', [], "seccomp"],
    ['{"seccomp-profile": "/nonesuch"}', [], "seccomp-profile: opening seccomp profile (/nonesuch) failed"],
    ['{"log-driver": "zz"}', [], 'plugin "zz" not found'],
    ['{"log-opts": {"a": "b"}}', [], "unknown log opt 'a'"],
    ['{"bip": "10.0.0.1"}', [], 'bip: "10.0.0.1" is no IPv4 address with a prefix'],
    ['{"bip": "fd00::1/64"}', [], 'bip: "fd00::1/64" is no IPv4 address with a prefix'],
    ['{"fixed-cidr-v6": "10.0.0.0/8"}', [], 'fixed-cidr-v6: "10.0.0.0/8" is no IPv6 address with a prefix'],
    ['{"bip": "10.0.0.1/24"}', ["--fixed-cidr=10.0.0.0/16"], "fixed-cidr: 10.0.0.0/16 is not part of bip 10.0.0.1/24"],
    [
      '{"bip": "10.0.0.1/24"}',
      ["--default-gateway=10.1.0.1"],
      "default-gateway: 10.1.0.1 is not in the subnet 10.0.0.0/24",
    ],
    ["{}", ["--default-gateway=10.1.0.1"], "default-gateway: bip or fixed-cidr must say which subnet it is in"],
    ['{"bip": "10.0.0.1/24", "bridge": "br0"}', [], "bip: you specified -b and --bip, mutually exclusive options"],
    ['{"icc": false, "iptables": false}', [], "icc: you specified --iptables=false with --icc=false"],
    ['{"bridge": "sixteen-bytes-xx"}', [], 'bridge: "sixteen-bytes-xx" is no interface\'s name'],
    ['{"ip": "localhost"}', [], 'ip: "localhost" is no IP address'],
    ['{"mtu": 65536}', [], "mtu: 65536 is not between 0 and 65535"],
    ['{"host-gateway-ip": "x"}', [], 'host-gateway-ip: "x" is no IP address'],
    [
      '{"default-address-pools": [{"base": "10.0.0.0/24", "size": 16}]}',
      [],
      "a subnet of 16 bits is not part of 10.0.0.0/24",
    ],
    ['{"default-address-pools": [{"base": "x", "size": 16}]}', [], 'default-address-pools: "x" is no address range'],
    ['{"default-address-pools": [{"base": "10.0.0.0/8"}]}', [], "default-address-pools[0].size is missing"],
    ["{}", ["--default-address-pool=base=10.0.0.0/8"], "not of the form base=CIDR,size=BITS"],
    ["{}", ["--default-network-opt=bridge"], "not of the form NAME=VALUE"],
    ["{}", ["--userland-proxy-path=/x"], "userland-proxy-path: /x is not supported: there is no proxy program"],
    ['{"builder": {"gc": {"policy": [{"all": 1}]}}}', [], "builder.gc.policy[0].all is not a boolean"],
    ['{"builder": {"gc": {"defaultKeepStorage": "x"}}}', [], "builder.gc.defaultKeepStorage: invalid size: 'x'"],
    ['{"builder": {"gc": {"policy": [{"filter": ["until=x"]}]}}}', [], `"until" filter expects a duration`],
    ['{"runtimes": {"x": {"path": 5}}}', [], 'runtimes["x"].path is not a string'],
    ['{"runtimes": {"lighter": {"path": "/x"}}}', [], "runtimes: runtime name 'lighter' is reserved"],
    ['{"runtimes": {"runc": {"path": "/x"}}}', [], "runtimes: runtime name 'runc' is reserved"],
    [
      '{"runtimes": {"x": {"path": "/x"}}, "default-runtime": "x"}',
      [],
      'default-runtime: runtime "x" is not used: containers are started by lighter itself',
    ],
    ["{}", ["--add-runtime=x"], 'add-runtime is "x", not of the form NAME=VALUE'],
    ["{}", ["--storage-driver", "zfs"], "storage-driver: zfs is not supported"],
    ["{}", ["--registry-mirror=ftp://m"], "invalid mirror"],
    ["{}", ["--nonesuch"], "unknown flag: --nonesuch"],
    ["{}", ["-x"], "unknown shorthand flag: 'x' in -x"],
    ["{}", ["--host"], "flag needs an argument: --host"],
    ["{}", ["--tls=maybe"], '--tls is "maybe", neither true nor false'],
    ["{}", ["--label", "a=b", "extra"], "accepts no argument"],
    ["{}", ["--data-root", "relative"], "--data-root: must be an absolute path"],
  ];
  for (const [file, flags, message] of table) expect(() => parse(file, ...flags)).toThrow(message);
  expect(() => parseDaemonOptions(["--config-file", join(directory, "none")], {})).toThrow("read the configuration");
});

test("TCP beyond loopback needs clients' certificates, or an explicit no", () => {
  const refused = "gives root on this machine to everyone who can reach it";
  for (const flags of [[], ["--tls"], ["--tls=true"]])
    expect(() => parse("{}", "-H", "tcp://0.0.0.0:2376", ...flags)).toThrow(refused);
  expect(() => parse("{}", "-H", "tcp://[::]:2376")).toThrow(refused);
  for (const flags of [["--tlsverify"], ["--tls=false"], ["--tls=false", "--tlsverify"], ["--tlsverify=false"]])
    expect(parse("{}", "-H", "tcp://0.0.0.0", ...flags).hosts).toHaveLength(1);
  expect(parse('{"tls": false}', "-H", "tcp://0.0.0.0").hosts).toEqual([
    { kind: "tcp", hostname: "0.0.0.0", port: 2375 },
  ]);
  for (const address of ["tcp://", "tcp://localhost", "tcp://[::1]", "tcp://127.1.2.3"])
    expect(parse("{}", "-H", address).hosts).toMatchObject([{ port: 2375 }]);
  for (const address of ["127.0.0.1:2375", ":2375", "localhost", "[::1]:2375"])
    expect(parse("{}", "-H", address).hosts).toEqual(parse("{}", "-H", `tcp://${address}`).hosts);
  expect(() => parse("{}", "-H", "0.0.0.0:2375")).toThrow(refused);
  for (const address of ["/run/x.sock", "./x.sock"]) expect(() => parse("{}", "-H", address)).toThrow("is none of");
  expect(parse("{}", "-H", "tcp://", "--tls").hosts).toEqual([{ kind: "tcp", hostname: "127.0.0.1", port: 2376 }]);
});

test("certificates are in Docker's directory unless named", () => {
  expect(parseDaemonOptions(["--tlsverify"], { DOCKER_CERT_PATH: "/c" })?.tls).toEqual({
    certPath: "/c/cert.pem",
    keyPath: "/c/key.pem",
    caPath: "/c/ca.pem",
  });
  expect(parse("{}", "--tls", "--tlscert=/x", "--tlskey=/y", "--tlscacert=/z").tls).toEqual({
    certPath: "/x",
    keyPath: "/y",
    caPath: undefined,
  });
});

test("docs/daemon.md lists every setting", () => {
  const text = readFileSync(join(import.meta.dirname, "../../../docs/daemon.md"), "utf8");
  const missing = [...Object.keys(SETTINGS), ...Object.keys(REFUSED)].filter((key) => !text.includes(`\`${key}\``));
  expect(missing).toEqual([]);
});
