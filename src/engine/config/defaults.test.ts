import { expect, test } from "bun:test";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { applyDefaults, type ContainerDefaults, NO_DEFAULTS } from "./defaults.ts";

const DEFAULTS: ContainerDefaults = {
  ipcMode: "shareable",
  cgroupnsMode: "host",
  shmBytes: 5,
  ulimits: [{ Name: "nofile", Soft: 1, Hard: 2 }],
  noNewPrivileges: true,
  seccompProfile: "unconfined",
  cgroupParent: "/batch",
  cgroupDriver: "cgroupfs",
  init: true,
  dns: ["1.1.1.1"],
  dnsOptions: ["ndots:1"],
  dnsSearch: ["a.b"],
  log: { driver: "json-file", options: { "max-size": "1m" } },
  runtime: "nvidia",
};

const UNIFIED = { cgroup: { mode: "unified" } } as const;

test("a container that says nothing gets every default", () => {
  expect(applyDefaults({}, DEFAULTS, UNIFIED)).toEqual({
    IpcMode: "shareable",
    CgroupnsMode: "host",
    ShmSize: 5,
    Ulimits: [{ Name: "nofile", Soft: 1, Hard: 2 }],
    SecurityOpt: ["no-new-privileges", "seccomp=unconfined"],
    CgroupParent: "/batch",
    Init: true,
    Dns: ["1.1.1.1"],
    DnsOptions: ["ndots:1"],
    DnsSearch: ["a.b"],
    Runtime: "nvidia",
    LogConfig: { Type: "json-file", Config: { "max-size": "1m" } },
  });
});

test("a privileged container has the host's cgroup namespace with cgroup v1, unless it says something else", () => {
  const modeOf = (given: DockerHostConfig, mode: "unified" | "hybrid" | "legacy") =>
    applyDefaults(given, NO_DEFAULTS, { cgroup: { mode } }).CgroupnsMode;
  for (const mode of ["hybrid", "legacy"] as const) {
    expect(modeOf({ Privileged: true }, mode)).toBe("host");
    expect(modeOf({ Privileged: true, CgroupnsMode: "private" }, mode)).toBe("private");
    expect(modeOf({}, mode)).toBe("private");
  }
  expect(modeOf({ Privileged: true }, "unified")).toBe("private");
});

test("what a container says stays, and nothing that it has is changed", () => {
  const given: DockerHostConfig = {
    IpcMode: "private",
    CgroupnsMode: "private",
    ShmSize: 7,
    Ulimits: [{ Name: "nofile", Soft: 3, Hard: 4 }],
    SecurityOpt: ["no-new-privileges:false", "seccomp=builtin"],
    CgroupParent: "/own",
    Init: false,
    Dns: ["8.8.8.8"],
    DnsOptions: ["x"],
    DnsSearch: ["y"],
    Runtime: "lighter",
    LogConfig: { Type: "json-file", Config: { "max-size": "2m" } },
  };
  const before = structuredClone(given);
  expect(applyDefaults(given, DEFAULTS, UNIFIED)).toEqual(given);
  expect(given).toEqual(before);
});

test("log options go with their driver; a privileged container keeps out of the seccomp profile", () => {
  expect(applyDefaults({ LogConfig: { Type: "local" } }, DEFAULTS, UNIFIED).LogConfig).toEqual({
    Type: "local",
    Config: {},
  });
  expect(applyDefaults({ LogConfig: { Config: { "max-file": "2" } } }, DEFAULTS, UNIFIED).LogConfig).toEqual({
    Type: "json-file",
    Config: { "max-size": "1m", "max-file": "2" },
  });
  expect(applyDefaults({ Privileged: true }, DEFAULTS, UNIFIED).SecurityOpt).toEqual(["no-new-privileges"]);
  expect(applyDefaults({}, NO_DEFAULTS, UNIFIED)).not.toHaveProperty("SecurityOpt");
});

test("a container in another's network has no name servers of its own; ulimits are named in any case", () => {
  const hostConfig = applyDefaults(
    { NetworkMode: "container:x", Ulimits: [{ Name: "NOFILE", Soft: 1, Hard: 1 }] },
    DEFAULTS,
    UNIFIED,
  );
  expect(hostConfig).not.toHaveProperty("Dns");
  expect(hostConfig.Ulimits).toHaveLength(1);
});
