import { expect, test } from "bun:test";
import type { CgroupHost } from "../../linux/cgroup/mod.ts";
import { cgroupFeatures } from "./cgroup-features.ts";
import { parseDeviceCgroupRule } from "./devices.ts";
import { logAttributesOf, logTagOf, parseLogConfig } from "./log.ts";
import { parseNumberList } from "./resources.ts";
import { planSysctls } from "./sysctls.ts";

test("log sizes are powers of 1000", () => {
  const size = (text: string) => parseLogConfig({ Config: { "max-size": text } }).maxBytes;
  expect([size("10m"), size("1.5k"), size("7"), size("2 GB"), size("1kib")]).toEqual([10e6, 1500, 7, 2e9, 1000]);
  expect(
    parseLogConfig({ Type: "json-file", Config: { "max-file": "3", mode: "blocking", compress: "false" } }),
  ).toEqual({
    driver: "json-file",
    maxBytes: 10e6,
    maxFiles: 3,
    compress: false,
  });
  expect(size("-1")).toBe(0);
});

test("rotated files are compressed where the log's options or Docker's defaults say so", () => {
  const compress = (Type: string, Config: Record<string, string> = {}) => parseLogConfig({ Type, Config }).compress;
  expect(["json-file", "local", "syslog", "journald", "none"].map((type) => compress(type))).toEqual([
    ...[false, true, true, true, false],
  ]);
  expect(compress("json-file", { compress: "T" })).toBe(true);
  expect(compress("local", { compress: "0", "max-file": "1" })).toBe(false);
  expect(compress("syslog", { "cache-compress": "false" })).toBe(false);
  for (const [type, options, message] of [
    ["json-file", { compress: "" }, 'strconv.ParseBool: parsing "": invalid syntax'],
    ["json-file", { compress: "1", "max-file": "1" }, "compress cannot be true when max-file is less than 2"],
    ["json-file", { compress: "1", "max-size": "-1" }, "compress cannot be true when max-file is less than 2"],
    ["local", { compress: "yes" }, 'error reading compress log option: strconv.ParseBool: parsing "yes"'],
    ["local", { "max-file": "1" }, "compression cannot be enabled when max file count is 1"],
  ] as [string, Record<string, string>, string][])
    expect(() => compress(type, options)).toThrow(message);
});

test("without a log driver the log is json-file of at most 5 files of 10 MB, and none takes any option", () => {
  expect(parseLogConfig(undefined)).toEqual({
    driver: "json-file",
    maxBytes: 10e6,
    maxFiles: 5,
    compress: false,
  });
  expect(parseLogConfig({ Type: "none", Config: { "max-file": "2" } }).driver).toBe("none");
});

test("syslog: address, facility and format; cache options are for the buffer", () => {
  const parse = (Config: Record<string, string>) => parseLogConfig({ Type: "syslog", Config });
  expect(parse({}).syslog).toEqual({ address: { kind: "unix", path: "/dev/log" }, facility: 3, format: "" });
  expect(
    parse({ "syslog-address": "tcp://[::1]:99", "syslog-facility": "local7", "syslog-format": "rfc5424" }).syslog,
  ).toEqual({ address: { kind: "tcp", hostname: "::1", port: 99 }, facility: 23, format: "rfc5424" });
  expect(parse({ "syslog-address": "udp://log.example" }).syslog?.address).toEqual({
    kind: "udp",
    hostname: "log.example",
    port: 514,
  });
  expect(parse({ "cache-max-size": "1m", "cache-max-file": "2" })).toMatchObject({ maxBytes: 1e6, maxFiles: 2 });
  for (const [options, message] of [
    [{ "syslog-address": "x" }, "syslog-address should be in form proto://address, got x"],
    [{ "syslog-address": "tcp://h:99999" }, "syslog-address should be in form proto://address"],
    [{ "syslog-address": "tcp+tls://h" }, "there is no TLS to a syslog server"],
    [{ "syslog-tls-cert": "/x" }, 'log option "syslog-tls-cert"'],
    [{ "syslog-facility": "x" }, "invalid syslog facility"],
    [{ "syslog-format": "x" }, "Invalid syslog format"],
    [{ "max-size": "1m" }, "unknown log opt 'max-size' for syslog log driver"],
    [{ "cache-disabled": "true" }, 'log option "cache-disabled"'],
    [{ tag: "{{.Nonesuch}}" }, "log opt tag"],
    [{ "env-regex": "(" }, "is not a regular expression"],
  ] as [Record<string, string>, string][])
    expect(() => parse(options)).toThrow(message);
});

test("what a log tells of its container: the tag, and the labels and variables that options pick", () => {
  const container = {
    id: "0123456789abcdef",
    name: "web",
    imageName: "debian",
    imageId: `sha256:${"f".repeat(64)}`,
    config: { Labels: { app: "a", tier: "b", other: "c" }, Env: ["PATH=/bin", "MODE=x=y", "MODEL"] },
  };
  expect(logTagOf(container, {})).toBe("0123456789ab");
  expect(logTagOf(container, { tag: "x/{{.Name}}/{{ .ImageID }}" })).toBe("x/web/ffffffffffff");
  expect(logAttributesOf(container, {})).toEqual({});
  expect(
    logAttributesOf(container, { labels: "app,none", "labels-regex": "^ti", env: "MODE", tag: "{{.ID}}" }),
  ).toEqual({
    app: "a",
    tier: "b",
    MODE: "x=y",
    tag: "0123456789ab",
  });
});

const SYSCTLS: [string, string | undefined][] = [
  ["net.core.somaxconn", "net.core.somaxconn"],
  ["net/core/somaxconn", "net.core.somaxconn"],
  ["net/ipv4/conf/eth0.1/mtu", "net.ipv4.conf.eth0/1.mtu"],
  ["net.ipv4.conf.eth0/1.mtu", "net.ipv4.conf.eth0/1.mtu"],
  ["fs.mqueue.msg_max", "fs.mqueue.msg_max"],
  ["kernel.domainname", "kernel.domainname"],
  // Out of the directory that was checked:
  ["net/../kernel/panic", undefined],
  ["net.//.kernel.panic", undefined],
  ["net..kernel", undefined],
  ["net/./x", undefined],
  ["net", undefined],
  ["network.x", undefined],
  ["fs.mqueue", undefined],
  ["user.max_user_namespaces", undefined],
];
for (const [given, name] of SYSCTLS)
  test(`sysctl "${given}" is ${name === undefined ? "refused" : `set as ${name}`}`, () => {
    const plan = () => planSysctls({}, { NetworkMode: "container:x", Sysctls: { [given]: "1" } });
    if (name === undefined) expect(plan).toThrow("is not in a separate kernel namespace");
    else expect(plan()).toEqual({ [name]: "1" });
  });

test("a sysctl's value cannot be two", () => {
  expect(() => planSysctls({}, { Sysctls: { "net.core.somaxconn": "1\n2" } })).toThrow("has a line break");
});

test("number lists are read like the kernel's", () => {
  expect([...parseNumberList("0-2,7")!]).toEqual([0, 1, 2, 7]);
  for (const text of ["", ",", "1-", "-1", "2-1", "a", "0-99999", "1 2", "0x1"])
    expect(parseNumberList(text)).toBeUndefined();
});

test("a device rule is read as a whole or not at all", () => {
  expect(parseDeviceCgroupRule("b 7:* rw")).toEqual({ allow: true, type: "b", major: 7, minor: -1, access: "rw" });
  for (const rule of ["", "c 1:3", "d 1:3 r", "c 1 r", "c 1:3 rwmr", "c 1:3 x", " c 1:3 r", "c 1:3 r\n"])
    expect(() => parseDeviceCgroupRule(rule)).toThrow(`invalid device cgroup rule format: '${rule}'`);
});

const V1: CgroupHost = {
  mode: "legacy",
  v1: ["memory", "pids", "cpu", "blkio"].map((controller) => ({
    mountPoint: `/sys/fs/cgroup/${controller}`,
    controllers: [controller],
    mountRoot: "/",
    ownPath: "/",
  })),
};
const V2: CgroupHost = {
  mode: "unified",
  v1: [],
  v2: {
    mountPoint: "/sys/fs/cgroup",
    controllers: ["cpu", "cpuset", "io", "memory"],
    mountRoot: "/",
    ownPath: "/",
    isHierarchyRoot: true,
  },
};

test("a host's limits follow from its controllers", () => {
  expect(cgroupFeatures(V1, new Set(["cpu.rt_runtime_us"]))).toEqual({
    mode: "legacy",
    memoryLimit: true,
    memoryReservation: true,
    swapLimit: true,
    memorySwappiness: true,
    oomKillDisable: true,
    pidsLimit: true,
    cpuShares: true,
    cpuCfs: true,
    cpuRealtime: true,
    cpuset: false,
    blkioWeight: true,
    blkioWeightDevice: true,
    blkioThrottle: true,
  });
  expect(cgroupFeatures(V2, new Set())).toMatchObject({
    memorySwappiness: false,
    oomKillDisable: false,
    pidsLimit: false,
    cpuRealtime: false,
    cpuset: true,
    swapLimit: true,
  });
});

test("a file that no cgroup has is a limit that this kernel has not", () => {
  const v1Files = new Set(["memory.limit_in_bytes", "blkio.throttle.read_bps_device", "cpu.shares"]);
  expect(cgroupFeatures(V1, v1Files)).toMatchObject({
    swapLimit: false,
    blkioWeight: false,
    blkioWeightDevice: false,
    cpuCfs: false,
  });
  expect(cgroupFeatures(V2, new Set(["memory.max", "io.max"]))).toMatchObject({ swapLimit: false, blkioWeight: false });
  const modern = new Set(["memory.max", "memory.swap.max", "io.max", "io.bfq.weight"]);
  expect(cgroupFeatures(V2, modern)).toMatchObject({ swapLimit: true, blkioWeight: true });
});
