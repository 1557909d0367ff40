import { expect, test } from "bun:test";
import { runCase } from "../../../tests/golden/config/run-case.ts";
import { LighterError } from "../../base/errors.ts";
import type { Fields } from "../../spec/body-fields.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { requestedDevices } from "../cdi/requests.ts";
import { planEtcFiles } from "./etc-files.ts";
import { CONTAINER_CONFIG_FIELDS, HOST_CONFIG_FIELDS, parseCreateBody } from "./fields.ts";
import { exposedPorts, planPorts } from "./ports.ts";

/** Definitions HostConfig and Resources of Docker Engine API v1.45, each with a value that asks for something. */
const HOST_CONFIG_SAMPLES: Required<{ [K in keyof DockerHostConfig]: unknown }> = {
  Annotations: { a: "b" },
  AutoRemove: true,
  Binds: ["/srv:/data"],
  BlkioDeviceReadBps: [{ Path: "/dev/loop0", Rate: 1 }],
  BlkioDeviceReadIOps: [{ Path: "/dev/loop0", Rate: 1 }],
  BlkioDeviceWriteBps: [{ Path: "/dev/loop0", Rate: 1 }],
  BlkioDeviceWriteIOps: [{ Path: "/dev/loop0", Rate: 1 }],
  BlkioWeight: 100,
  BlkioWeightDevice: [{ Path: "/dev/loop0", Weight: 100 }],
  CapAdd: ["SYS_ADMIN"],
  CapDrop: ["CHOWN"],
  Cgroup: "container:x",
  CgroupParent: "/batch",
  CgroupnsMode: "host",
  ConsoleSize: [1],
  ContainerIDFile: "/tmp/id",
  CpuCount: 1,
  CpuPercent: 1,
  CpuPeriod: 10000,
  CpuQuota: 10000,
  CpuRealtimePeriod: 10000,
  CpuRealtimeRuntime: 10000,
  CpuShares: 100,
  CpusetCpus: "0",
  CpusetMems: "0",
  DeviceCgroupRules: ["c 1:3 r"],
  DeviceRequests: [{ Count: -1, Capabilities: [["gpu"]] }],
  Devices: [{ PathOnHost: "/dev/loop0" }],
  Dns: ["9.9.9.9"],
  DnsOptions: ["ndots:2"],
  DnsSearch: ["example.org"],
  ExtraHosts: ["a:192.0.2.1"],
  GroupAdd: ["44"],
  IOMaximumBandwidth: 1,
  IOMaximumIOps: 1,
  Init: true,
  IpcMode: "host",
  Isolation: "hyperv",
  KernelMemoryTCP: 1,
  Links: ["a:b"],
  LogConfig: { Type: "none" },
  MaskedPaths: [],
  Memory: 16777216,
  MemoryReservation: 16777216,
  MemorySwap: 16777216,
  MemorySwappiness: 1,
  Mounts: [{ Type: "bind", Source: "/srv", Target: "/data" }],
  NanoCpus: 1e9,
  NetworkMode: "host",
  OomKillDisable: true,
  OomScoreAdj: 1,
  PidMode: "host",
  PidsLimit: 1,
  PortBindings: { "80/tcp": [{ HostPort: "80" }] },
  Privileged: true,
  PublishAllPorts: true,
  ReadonlyPaths: [],
  ReadonlyRootfs: true,
  RestartPolicy: { Name: "always" },
  Runtime: "crun",
  SecurityOpt: ["no-new-privileges"],
  ShmSize: 65536,
  StorageOpt: { size: "1G" },
  Sysctls: { "net.core.somaxconn": "1" },
  Tmpfs: { "/run": "" },
  UTSMode: "host",
  Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
  UsernsMode: "auto",
  VolumeDriver: "zfs",
  VolumesFrom: ["x"],
};

/** The same for ContainerConfig. */
const CONTAINER_CONFIG_SAMPLES: Required<{ [K in keyof DockerContainerConfig]: unknown }> = {
  ArgsEscaped: true,
  AttachStderr: true,
  AttachStdin: true,
  AttachStdout: true,
  Cmd: ["true"],
  Domainname: "example.org",
  Entrypoint: ["true"],
  Env: ["A=b"],
  ExposedPorts: { "80/tcp": {} },
  Healthcheck: { Test: ["CMD", "true"] },
  Hostname: "web",
  Image: "other",
  Labels: { a: "b" },
  MacAddress: "02:00:00:00:00:01",
  NetworkDisabled: true,
  OnBuild: ["RUN x"],
  OpenStdin: true,
  Shell: ["/bin/sh", "-c"],
  StdinOnce: true,
  StopSignal: "SIGQUIT",
  StopTimeout: 1,
  Tty: true,
  User: "bob",
  Volumes: { "/data": {} },
  WorkingDir: "/tmp",
};

/** Used by the engine, from the stored config: they do not show in what is compared here. */
const USED_BY_ENGINE = [
  ...[
    "AutoRemove",
    "UsernsMode",
    "GroupAdd",
    "Healthcheck",
    "Image",
    "Links",
    "OpenStdin",
    "PublishAllPorts",
    "RestartPolicy",
    "StdinOnce",
    "StopSignal",
    "VolumeDriver",
  ],
];

/** All that a body leads to, but for the config that is only kept. */
function outcome(config: DockerContainerConfig, hostConfig: DockerHostConfig): string {
  const { prepared, oci } = runCase({ name: "", image: "plain", docker: false, config, hostConfig });
  const { mountPoints, log, warnings, endpoints } = prepared;
  const host = { hosts: "of the host", resolvConf: "", resolvConfPath: "/etc/resolv.conf" };
  const network = { hosts: [], usesResolver: false, ipv6: false, hostGateway: () => "172.17.0.1" };
  const files = planEtcFiles(prepared.config, prepared.hostConfig, host, network);
  const ports = planPorts(prepared.config, prepared.hostConfig);
  const exposed = exposedPorts(prepared.config, prepared.hostConfig);
  const devices = requestedDevices(prepared.config, prepared.hostConfig, false, () => true);
  return JSON.stringify({ oci, mountPoints, log, warnings, endpoints, files, ports, exposed, devices });
}

function checkField(key: string, fields: Fields, prefix: string, run: () => string): void {
  const fate = fields[key]?.fate;
  const expected = outcome({}, {});
  let actual: string;
  try {
    actual = run();
  } catch (error) {
    expect(error).toBeInstanceOf(LighterError);
    if ((error as LighterError).code === "not-supported")
      expect((error as LighterError).message).toContain(prefix + key);
    else expect((error as LighterError).code).toBe("invalid");
    expect(fate).not.toBe("informative");
    if (fate === "refused") expect((error as LighterError).code).toBe("not-supported");
    return;
  }
  expect(fate).not.toBe("refused");
  if (fate === "handled" && !USED_BY_ENGINE.includes(key)) expect(actual).not.toBe(expected);
  if (fate === "informative") expect(actual).toBe(expected);
}

test("the tables have the fields of API v1.45, and no others", () => {
  expect(Object.keys(HOST_CONFIG_FIELDS).sort()).toEqual(Object.keys(HOST_CONFIG_SAMPLES).sort());
  expect(Object.keys(CONTAINER_CONFIG_FIELDS).sort()).toEqual(Object.keys(CONTAINER_CONFIG_SAMPLES).sort());
});

for (const [key, value] of Object.entries(HOST_CONFIG_SAMPLES))
  test(`HostConfig.${key} is used or refused by name, never dropped`, () => {
    checkField(key, HOST_CONFIG_FIELDS, "HostConfig.", () => outcome({}, { [key]: value }));
  });

for (const [key, value] of Object.entries(CONTAINER_CONFIG_SAMPLES))
  test(`${key} is used or refused by name, never dropped`, () => {
    checkField(key, CONTAINER_CONFIG_FIELDS, "", () => outcome({ [key]: value }, {}));
  });

test("an unknown field is passed over at every level, a known one that cannot be done is refused by name", () => {
  const unknown = { Teleport: { a: [1] }, constructor: "x" };
  const endpoint = { front: { ...unknown, Aliases: ["db"] } };
  const body = {
    ...{ ...unknown, Image: "a", name: "web", NanoCpus: 5 },
    HostConfig: { ...unknown, Mounts: [{ ...unknown, TmpfsOptions: { ...unknown, Mode: 1 } }] },
    NetworkingConfig: { ...unknown, EndpointsConfig: endpoint },
  };
  expect(parseCreateBody(body)).toEqual({
    config: { Image: "a" },
    hostConfig: { Mounts: [{ TmpfsOptions: { Mode: 1 } }] },
    endpoints: { front: { Aliases: ["db"] } },
  });
  expect(() => parseCreateBody({ HostConfig: { Mounts: [{ TmpfsOptions: { Options: [["noexec"]] } }] } })).toThrow(
    "HostConfig.Mounts[0].TmpfsOptions.Options: not supported",
  );
  expect(parseCreateBody({ HostConfig: { storageopt: {}, CpuCount: 0 } }).hostConfig).toEqual({});
});

test("names of JSON's built-in properties are unknown fields like any other", () => {
  const body = JSON.parse('{"HostConfig":{"__proto__":{"Privileged":true}}}');
  expect(parseCreateBody(body)).toEqual({ config: {}, hostConfig: {}, endpoints: {} });
  const labels = JSON.parse('{"Labels":{"__proto__":"a"}}');
  expect(Object.entries(parseCreateBody(labels).config.Labels ?? {})).toEqual([["__proto__", "a"]]);
});

test("field names are read in any case, as Go reads them", () => {
  expect(parseCreateBody({ cmd: ["a"], hostconfig: { MEMORY: 7 } })).toEqual({
    config: { Cmd: ["a"] },
    hostConfig: { Memory: 7 },
    endpoints: {},
  });
});

test("a limit beside HostConfig, as old clients write it, counts where HostConfig does not say", () => {
  const read = (body: object) => {
    const { config, hostConfig } = parseCreateBody({ Image: "a", ...body });
    expect(config).toEqual({ Image: "a" });
    return hostConfig;
  };
  expect(read({ Memory: 1000, VolumeDriver: "local" })).toEqual({ Memory: 1000, VolumeDriver: "local" });
  expect(read({ Memory: 1000, HostConfig: { Memory: 0, CpuShares: 3 } })).toEqual({ Memory: 1000, CpuShares: 3 });
  expect(read({ CpuShares: 2, HostConfig: { CpuShares: 3 } })).toEqual({ CpuShares: 3 });
});

test("null is absent, and a command may be one string", () => {
  expect(parseCreateBody({ Cmd: "echo hi", Env: null, HostConfig: { Binds: null } })).toEqual({
    config: { Cmd: ["echo hi"] },
    hostConfig: {},
    endpoints: {},
  });
  expect(parseCreateBody({ HostConfig: null })).toEqual({ config: {}, hostConfig: {}, endpoints: {} });
});

const WRONG_SHAPES: [unknown, string][] = [
  [[], "the body: must be an object, is a list"],
  [{ HostConfig: [] }, "HostConfig: must be an object, is a list"],
  [{ HostConfig: { Memory: "5" } }, "HostConfig.Memory: must be an integer, is string"],
  [{ HostConfig: { Memory: 5.5 } }, "HostConfig.Memory: must be an integer, is 5.5"],
  [{ HostConfig: { Memory: 2 ** 63 } }, "HostConfig.Memory: 9223372036854776000 is out of range"],
  [{ HostConfig: { Privileged: "true" } }, "HostConfig.Privileged: must be true or false, is string"],
  [{ Env: ["A=b", 7] }, "Env[1]: must be a string, is 7"],
  [{ Env: { A: "b" } }, "Env: must be a list of strings, is object"],
  [{ Cmd: ["a\0b"] }, "Cmd[0]: has a NUL character"],
  [{ HostConfig: { Mounts: [7] } }, "HostConfig.Mounts[0]: must be an object, is 7"],
  [{ HostConfig: { Sysctls: { a: 1 } } }, "HostConfig.Sysctls.a: must be a string, is 1"],
  [{ Volumes: ["/a"] }, "Volumes: must be an object, is a list"],
];
for (const [body, message] of WRONG_SHAPES)
  test(`a body of the wrong shape is invalid: ${message}`, () => {
    expect(() => parseCreateBody(body)).toThrow(new LighterError("invalid", message));
  });

test("endpoints are read field by field, and what answers have beside the wishes is passed over", () => {
  const body = (endpoints: object) => ({ NetworkingConfig: { EndpointsConfig: endpoints } });
  // What `docker run --network front --ip 10.0.0.5` sends.
  const sent = { IPAMConfig: { IPv4Address: "10.0.0.5" }, Links: null, MacAddress: "", DriverOpts: {}, IPPrefixLen: 0 };
  expect(parseCreateBody(body({ front: sent, back: null })).endpoints).toEqual({
    front: { IPAMConfig: { IPv4Address: "10.0.0.5" }, MacAddress: "", DriverOpts: {}, IPPrefixLen: 0 } as object,
    back: {},
  });
  expect(() => parseCreateBody(body({ front: { Aliases: "db" } }))).toThrow(
    "NetworkingConfig.EndpointsConfig.front.Aliases: must be a list of strings",
  );
});
