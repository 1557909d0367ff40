import { expect, test } from "bun:test";
import { HYBRID_HOST, UNIFIED_HOST } from "../../../tests/golden/config/host.ts";
import { CONTAINER_ID, contextFor } from "../../../tests/golden/config/run-case.ts";
import { type ErrorCode, LighterError } from "../../base/errors.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { HostFacts } from "./host.ts";
import { prepareContainer } from "./prepare.ts";

function prepare(hostConfig: DockerHostConfig, config: DockerContainerConfig = {}, host: HostFacts = HYBRID_HOST) {
  return prepareContainer(
    {
      id: CONTAINER_ID,
      config: { Cmd: ["true"], ...config },
      hostConfig: { NetworkMode: "none", ...hostConfig },
    },
    contextFor(host),
  );
}

const MiB = 1048576;
type Row = [message: string, hostConfig: DockerHostConfig, config?: DockerContainerConfig];

/** Docker 26.1.5 answered these bodies with these texts, asked on the machine that HYBRID_HOST describes. */
const INVALID_AS_DOCKER: Row[] = [
  ["Minimum memory limit allowed is 6MB", { Memory: 5 * MiB }],
  ["Minimum memory limit allowed is 6MB", { Memory: -5 }],
  [
    "Minimum memoryswap limit should be larger than memory limit, see usage",
    { Memory: 64 * MiB, MemorySwap: 32 * MiB },
  ],
  ["You should always set the Memory limit when using Memoryswap limit, see usage", { MemorySwap: 32 * MiB }],
  ["Invalid value: 101, valid memory swappiness range is 0-100", { MemorySwappiness: 101 }],
  ["Minimum memory reservation allowed is 6MB", { MemoryReservation: 1024 }],
  [
    "Minimum memory limit can not be less than memory reservation limit, see usage",
    { Memory: 64 * MiB, MemoryReservation: 128 * MiB },
  ],
  ["Conflicting options: Nano CPUs and CPU Period cannot both be set", { NanoCpus: 1e9, CpuPeriod: 10000 }],
  ["Conflicting options: Nano CPUs and CPU Quota cannot both be set", { NanoCpus: 1e9, CpuQuota: 10000 }],
  ["Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", { NanoCpus: 3e9 }],
  ["Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", { NanoCpus: -1 }],
  ["shares: invalid argument", { CpuShares: -1 }],
  ["CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)", { CpuPeriod: 10 }],
  ["CPU cfs quota can not be less than 1ms (i.e. 1000)", { CpuQuota: 10 }],
  ["Requested CPUs are not available - requested 0-7, available: 0-1", { CpusetCpus: "0-7" }],
  ["Invalid value a for cpuset cpus: invalid format: a", { CpusetCpus: "a" }],
  ["Invalid value 1-0 for cpuset cpus: invalid format: 1-0", { CpusetCpus: "1-0" }],
  ["Invalid value 0, for cpuset cpus: invalid format: 0,", { CpusetCpus: "0," }],
  ["Requested memory nodes are not available - requested 3, available: 0", { CpusetMems: "3" }],
  ["Invalid value x for cpuset mems: invalid format: x", { CpusetMems: "x" }],
  ["Invalid QoS settings: linux does not support configuration of maximum IOPs", { IOMaximumIOps: 5 }],
  ["Invalid value 2000, range for oom score adj is [-1000, 1000]", { OomScoreAdj: 2000 }],
  ["SHM size can not be less than 0", { ShmSize: -1 }],
  ["invalid IPC mode: foo", { IpcMode: "foo" }],
  ["invalid PID mode: foo", { PidMode: "foo" }],
  ["invalid PID mode: container:", { PidMode: "container:" }],
  ["invalid UTS mode: foo", { UTSMode: "foo" }],
  ["invalid UTS mode: container:x", { UTSMode: "container:x" }],
  ["invalid cgroup namespace mode: foo", { CgroupnsMode: "foo" }],
  ["Invalid network mode: invalid container format container:<name|id>", { NetworkMode: "container:" }],
  ["Invalid network mode: invalid container format container:<name|id>", { NetworkMode: "container" }],
  ["conflicting options: hostname and the network mode", { NetworkMode: "container:x" }, { Hostname: "a" }],
  ["conflicting options: hostname and the UTS mode", { UTSMode: "host" }, { Hostname: "a" }],
  ["conflicting options: dns and the network mode", { NetworkMode: "container:x", Dns: ["1.1.1.1"] }],
  [
    "conflicting options: custom host-to-IP mapping and the network mode",
    { NetworkMode: "container:x", ExtraHosts: ["a:1.1.1.1"] },
  ],
  [
    "conflicting options: port publishing and the container type network mode",
    { NetworkMode: "container:x", PortBindings: { "80/tcp": [{}] } },
  ],
  [
    "conflicting options: port publishing and the container type network mode",
    { NetworkMode: "container:x", PublishAllPorts: true },
  ],
  [
    "conflicting options: port exposing and the container type network mode",
    { NetworkMode: "container:x" },
    { ExposedPorts: { "80/tcp": {} } },
  ],
  ['bad nameserver address foo: ParseAddr("foo"): unable to parse IP', { Dns: ["foo"] }],
  ['bad format for add-host: "a"', { ExtraHosts: ["a"] }],
  ['invalid IP address in add-host: "b"', { ExtraHosts: ["a:b"] }],
  ['bad format for add-host: "a=1.2.3.4"', { ExtraHosts: ["a=1.2.3.4"] }],
  ['invalid IP address in add-host: "[::1]"', { ExtraHosts: ["a:[::1]"] }],
  [`Invalid isolation: "hyperv" - linux only supports 'default'`, { Isolation: "hyperv" }],
  ["unknown or invalid runtime name: foo", { Runtime: "foo" }],
  [
    "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    { RestartPolicy: { Name: "foo" } },
  ],
  [
    "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    { RestartPolicy: { Name: "always", MaximumRetryCount: 3 } },
  ],
  [
    "invalid restart policy: maximum retry count cannot be negative",
    { RestartPolicy: { Name: "on-failure", MaximumRetryCount: -3 } },
  ],
  ["can't create 'AutoRemove' container with restart policy", { RestartPolicy: { Name: "always" }, AutoRemove: true }],
  ['invalid CapAdd: unknown capability: "CAP_FOO"', { CapAdd: ["FOO"] }],
  ['invalid CapDrop: unknown capability: "CAP_FOO"', { CapDrop: ["CAP_FOO"] }],
  ['invalid CapAdd: unknown capability: "CAP_"', { CapAdd: [""] }],
  [
    'invalid CapAdd: capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"',
    { CapAdd: ["sys_resource"] },
  ],
  ['invalid --security-opt 1: "foo"', { SecurityOpt: ["foo"] }],
  ['invalid --security-opt 2: "foo=bar"', { SecurityOpt: ["foo=bar"] }],
  ['invalid --security-opt 2: "apparmor=a\\nb"', { SecurityOpt: ["apparmor=a\nb"] }],
  ['invalid --security-opt 2: "no-new-privileges=zz"', { SecurityOpt: ["no-new-privileges=zz"] }],
  ['invalid --security-opt 2: "writable-cgroups=zz"', { SecurityOpt: ["writable-cgroups=zz"] }],
  ['sysctl "kernel.panic" is not in a separate kernel namespace', { Sysctls: { "kernel.panic": "1" } }],
  [
    'sysctl "net.core.somaxconn" not allowed in host network namespace',
    { NetworkMode: "host", Sysctls: { "net.core.somaxconn": "1" } },
  ],
  [
    'sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace',
    { IpcMode: "host", Sysctls: { "kernel.msgmax": "1" } },
  ],
  [
    'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field',
    { Sysctls: { "kernel.hostname": "a" } },
  ],
  [
    'sysctl "kernel.domainname" is not in a separate kernel namespace',
    { UTSMode: "host", Sysctls: { "kernel.domainname": "a" } },
  ],
  ['sysctl "" is not in a separate kernel namespace', { Sysctls: { "": "1" } }],
  [
    'invalid mount config for type "bind": field Source must not be empty',
    { Mounts: [{ Type: "bind", Target: "/a" }] },
  ],
  [
    'invalid mount config for type "bind": field Target must not be empty',
    { Mounts: [{ Type: "bind", Source: "/srv" }] },
  ],
  [
    `invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "/a/.." }] },
  ],
  [
    `invalid mount config for type "bind": invalid mount path: 'a' mount path must be absolute`,
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "a" }] },
  ],
  [
    `invalid mount config for type "bind": invalid mount path: 'srv' mount path must be absolute`,
    { Mounts: [{ Type: "bind", Source: "srv", Target: "/a" }] },
  ],
  [
    'invalid mount config for type "bind": bind source path does not exist: /nope',
    { Mounts: [{ Type: "bind", Source: "/nope", Target: "/a" }] },
  ],
  [
    'invalid mount config for type "bind": invalid propagation mode: foo',
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "/a", BindOptions: { Propagation: "foo" } }] },
  ],
  [
    'VolumeOptions must not be specified on mount type "bind"',
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "/a", VolumeOptions: {} }] },
  ],
  [
    'TmpfsOptions must not be specified on mount type "bind"',
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "/a", TmpfsOptions: { Mode: 1 } }] },
  ],
  ['invalid mount config for type "foo": mount type unknown', { Mounts: [{ Type: "foo", Target: "/a" }] }],
  ['invalid mount config for type "": mount type unknown', { Mounts: [{ Source: "/srv", Target: "/a" }] }],
  [
    'invalid mount config for type "tmpfs": field Source must not be specified',
    { Mounts: [{ Type: "tmpfs", Source: "/srv", Target: "/a" }] },
  ],
  [
    'BindOptions must not be specified on mount type "tmpfs"',
    { Mounts: [{ Type: "tmpfs", Target: "/a", BindOptions: {} }] },
  ],
  [
    'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes',
    { Mounts: [{ Type: "volume", Target: "/a", ReadOnly: true }] },
  ],
  [
    'invalid mount config for type "volume": must not set Subpath when using anonymous volumes',
    { Mounts: [{ Type: "volume", Target: "/a", VolumeOptions: { Subpath: "x" } }] },
  ],
  ...["/x", "..", "../x", "a/../../x"].map(
    (Subpath): Row => [
      'invalid mount config for type "volume": subpath must be a relative path within the volume',
      { Mounts: [{ Type: "volume", Source: "vol", Target: "/a", VolumeOptions: { Subpath } }] },
    ],
  ),
  ["volumes-from specification cannot be an empty string", { VolumesFrom: [""] }],
  ["invalid mode: foo", { VolumesFrom: ["other:foo"] }],
  ["invalid mode: rshared", { VolumesFrom: ["other:rshared"] }],
  [
    'create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
    { Mounts: [{ Type: "volume", Source: "a/b", Target: "/a" }] },
  ],
  [
    "create a: volume name is too short, names should be at least two alphanumeric characters",
    { Mounts: [{ Type: "volume", Source: "a", Target: "/a" }] },
  ],
  [
    "Duplicate mount point: /a/",
    {
      Mounts: [
        { Type: "bind", Source: "/srv", Target: "/a" },
        { Type: "bind", Source: "/mnt", Target: "/a/" },
      ],
    },
  ],
  ["Duplicate mount point: /a", { Binds: ["/srv:/a", "/mnt:/a"] }],
  ["Duplicate mount point: /a", { Binds: ["/srv:/a"], Tmpfs: { "/a": "" } }],
  [
    "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive",
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "/a", BindOptions: { ReadOnlyForceRecursive: true } }] },
  ],
  [
    "mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive",
    { Mounts: [{ Type: "bind", Source: "/srv", Target: "/a", BindOptions: { ReadOnlyNonRecursive: true } }] },
  ],
  [
    "mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive",
    {
      Mounts: [
        {
          Type: "bind",
          Source: "/srv",
          Target: "/a",
          ReadOnly: true,
          BindOptions: { ReadOnlyForceRecursive: true, ReadOnlyNonRecursive: true },
        },
      ],
    },
  ],
  [
    `invalid volume specification: '/srv:a': invalid mount config for type "bind": invalid mount path: 'a' mount path must be absolute`,
    { Binds: ["/srv:a"] },
  ],
  ["invalid mode: zz", { Binds: ["/srv:/a:zz"] }],
  ["invalid mode: ro,rw", { Binds: ["/srv:/a:ro,rw"] }],
  ["invalid volume specification: '/srv:/a:ro:x'", { Binds: ["/srv:/a:ro:x"] }],
  ["invalid volume specification: ':/a'", { Binds: [":/a"] }],
  ["invalid volume specification: '/srv:ro'", { Binds: ["/srv:ro"] }],
  ["invalid volume specification: ''", { Binds: [""] }],
  [
    `invalid volume specification: 'vol:/a:rshared': invalid mount config for type "volume": field BindOptions must not be specified`,
    { Binds: ["vol:/a:rshared"] },
  ],
  [
    `invalid volume specification: '/srv:/a:nocopy': invalid mount config for type "bind": field VolumeOptions must not be specified`,
    { Binds: ["/srv:/a:nocopy"] },
  ],
  ["invalid specification: destination can't be '/'", { Tmpfs: { "/": "" } }],
  ["invalid mount path: 'a' mount path must be absolute", { Tmpfs: { a: "" } }],
  ['invalid tmpfs option "zork"', { Tmpfs: { "/a": "zork" } }],
  [
    'error gathering device information while adding custom device "/etc/passwd": not a device node',
    { Devices: [{ PathOnHost: "/etc/passwd" }] },
  ],
  ["invalid device cgroup rule format: 'zork'", { DeviceCgroupRules: ["zork"] }],
  ['error looking up logging plugin zork: plugin "zork" not found', { LogConfig: { Type: "zork" } }],
  ["unknown log opt 'zork' for json-file log driver", { LogConfig: { Config: { zork: "1" } } }],
  ["invalid size: 'x'", { LogConfig: { Config: { "max-size": "x" } } }],
  ["max-file cannot be less than 1", { LogConfig: { Config: { "max-file": "0" } } }],
  ["logger: logging mode not supported: zork", { LogConfig: { Config: { mode: "zork" } } }],
  ["invalid Annotations: the empty string is not permitted as an annotation key", { Annotations: { "": "x" } }],
  ["invalid signal: ZORK", {}, { StopSignal: "ZORK" }],
  ["invalid signal: 0", {}, { StopSignal: "0" }],
  ["invalid environment variable: =x", {}, { Env: ["=x"] }],
  ["the working directory 'a/b' is invalid, it needs to be an absolute path", {}, { WorkingDir: "a/b" }],
  ["no command specified", {}, { Cmd: [], Entrypoint: [""] }],
];

/** Docker fails later, in other words, or not at all. */
const INVALID_EARLIER: Row[] = [
  ["Invalid value -2 for MemorySwap: use -1 for unlimited swap", { Memory: 64 * MiB, MemorySwap: -2 }],
  ["the minimum allowed cpu-shares is 2", { CpuShares: 1 }],
  ["the maximum allowed cpu-shares is 262144", { CpuShares: 300000 }],
  ["Range of blkio weight is from 10 to 1000", { BlkioWeight: 5 }],
  [`limit the I/O of "/dev/nope": it is not a block device`, { BlkioDeviceReadBps: [{ Path: "/dev/nope", Rate: 5 }] }],
  [`limit the I/O of "/dev/null": it is not a block device`, { BlkioDeviceReadBps: [{ Path: "/dev/null", Rate: 5 }] }],
  [
    'HostConfig.BlkioDeviceReadBps: the rate of "/dev/loop0" is negative',
    { BlkioDeviceReadBps: [{ Path: "/dev/loop0", Rate: -5 }] },
  ],
  ["invalid IPC mode: container:", { IpcMode: "container:" }],
  ["kernel does not support CPU real-time scheduler", { CpuRealtimePeriod: 1000000, CpuRealtimeRuntime: 950000 }],
  ["invalid ulimit type: foo", { Ulimits: [{ Name: "foo", Soft: 1, Hard: 1 }] }],
  [
    "ulimit soft limit must be less than or equal to hard limit: 10 > 1",
    { Ulimits: [{ Name: "nofile", Soft: 10, Hard: 1 }] },
  ],
  [
    "ulimit soft limit must be less than or equal to hard limit: -1 > 10",
    { Ulimits: [{ Name: "nofile", Soft: -1, Hard: 10 }] },
  ],
  [`Decoding seccomp profile failed: "/nope.json" is not a JSON object`, { SecurityOpt: ["seccomp=/nope.json"] }],
  [
    'error gathering device information while adding custom device "/dev/nope": no such file or directory',
    { Devices: [{ PathOnHost: "/dev/nope" }] },
  ],
  ["invalid device mode: zz", { Devices: [{ PathOnHost: "/dev/null", CgroupPermissions: "zz" }] }],
  [`HostConfig.MaskedPaths: "a" is not an absolute path`, { MaskedPaths: ["a"] }],
  ["HostConfig.ConsoleSize: must be [height, width], each from 0 to 65535", { ConsoleSize: [1] }],
  ["Hostname: longer than 64 bytes", {}, { Hostname: "x".repeat(65) }],
  ["invalid specification: destination can't be '/'", {}, { Volumes: { "/..": {} } }],
  ["invalid signal: 999", {}, { StopSignal: "999" }],
  ["max-size must be a positive number", { LogConfig: { Config: { "max-size": "0" } } }],
  ['strconv.ParseBool: parsing "x": invalid syntax', { LogConfig: { Config: { compress: "x" } } }],
];

const NOT_SUPPORTED: Row[] = [
  ['HostConfig.UsernsMode "auto:uidmapping=0:1:1": not supported', { UsernsMode: "auto:uidmapping=0:1:1" }],
  [
    "HostConfig.LogConfig.Type: not supported: failed to initialize logging driver: there is no splunk",
    { LogConfig: { Type: "splunk" } },
  ],
  [
    'HostConfig.LogConfig.Config: not supported: log option "cache-disabled"',
    { LogConfig: { Type: "syslog", Config: { "cache-disabled": "true" } } },
  ],
  ["HostConfig.SecurityOpt label: not supported", { SecurityOpt: ["label=type:svirt_t"] }],
  ['HostConfig.SecurityOpt apparmor: not supported: profile "foo"', { SecurityOpt: ["apparmor=foo"] }],
];

const rows = (code: ErrorCode, list: readonly Row[]) => list.map((row) => [code, ...row] as const);
for (const [code, message, hostConfig, config] of [
  ...rows("invalid", INVALID_AS_DOCKER),
  ...rows("invalid", INVALID_EARLIER),
  ...rows("not-supported", NOT_SUPPORTED),
])
  test(`a create request is ${code}: ${message}, for ${JSON.stringify({ ...hostConfig, ...config })}`, () => {
    let error: unknown;
    try {
      prepare(hostConfig, config);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(LighterError);
    const actual = error as LighterError;
    expect(actual.code).toBe(code);
    if (code === "invalid") expect(actual.message).toBe(message);
    else expect(actual.message).toStartWith(message);
  });

test("no message but Docker's own could make `docker run` take the error for a missing or unusable program", () => {
  const dockers = "error gathering device information";
  const traps = ["no such file or directory", "executable file not found", "permission denied", "is a directory"];
  for (const [, hostConfig, config] of [...INVALID_AS_DOCKER, ...INVALID_EARLIER, ...NOT_SUPPORTED])
    expect(() => prepare(hostConfig, config)).not.toThrow(new RegExp(`^(?!${dockers}).*(${traps.join("|")})`));
});

/** Docker 26.1.5 gave these warnings. */
const WARNINGS: Row[] = [
  [
    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    { BlkioWeight: 500 },
  ],
  [
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    { OomKillDisable: true },
  ],
  ["linux does not support CPU percent. Percent discarded.", { CpuPercent: 5 }],
  [
    "Published ports are discarded when using host network mode",
    { NetworkMode: "host", PortBindings: { "80/tcp": [{ HostPort: "80" }] } },
  ],
];
for (const [message, hostConfig] of WARNINGS)
  test(`a create request is warned about: ${message}`, () => {
    expect(prepare(hostConfig).warnings).toEqual([message]);
  });

test("ports that the image exposes are in nobody's way in another container's network", () => {
  const { config, hostConfig, warnings } = prepareContainer(
    {
      id: CONTAINER_ID,
      config: {},
      hostConfig: { NetworkMode: "container:x" },
      image: { Cmd: ["sh"], ExposedPorts: { "80/tcp": {} } },
    },
    contextFor(HYBRID_HOST),
  );
  expect(config.ExposedPorts).toEqual({ "80/tcp": {} });
  expect([hostConfig.NetworkMode, warnings]).toEqual(["container:x", []]);
});

test("the default network is called by its name", () => {
  for (const NetworkMode of ["", "default", "bridge"]) {
    const { hostConfig, endpoints, warnings } = prepare({ NetworkMode });
    expect(hostConfig.NetworkMode).toBe("bridge");
    expect(endpoints).toEqual([{ networkId: "", networkName: "bridge", wish: {} }]);
    expect(warnings).toEqual([]);
  }
  expect(prepare({ NetworkMode: "bridge" }, { NetworkDisabled: true }).endpoints).toEqual([]);
});

test("limits that the kernel has not are dropped with Docker's warnings", () => {
  const bare: HostFacts = {
    ...UNIFIED_HOST,
    cgroup: {
      mode: "unified",
      memoryLimit: false,
      memoryReservation: false,
      swapLimit: false,
      memorySwappiness: false,
      oomKillDisable: false,
      pidsLimit: false,
      cpuShares: false,
      cpuCfs: false,
      cpuRealtime: false,
      cpuset: false,
      blkioWeight: false,
      blkioWeightDevice: false,
      blkioThrottle: false,
    },
  };
  const { hostConfig, warnings } = prepare(
    {
      Memory: 64 * MiB,
      MemoryReservation: 32 * MiB,
      MemorySwappiness: 7,
      OomKillDisable: true,
      PidsLimit: 9,
      CpuShares: 9,
      CpuQuota: 9000,
      CpusetCpus: "0",
      BlkioDeviceReadBps: [{ Path: "/dev/loop0", Rate: 1 }],
    },
    {},
    bare,
  );
  expect(warnings).toEqual([
    "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
    "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
    "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
    "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
  ]);
  expect(hostConfig).toMatchObject({
    Memory: 0,
    MemoryReservation: 0,
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: null,
    CpuShares: 0,
    CpuQuota: 0,
    CpusetCpus: "",
    BlkioDeviceReadBps: [],
  });
});

test("defaults are filled in the way `docker inspect` shows them", () => {
  const { config, hostConfig } = prepare({ Memory: 64 * MiB, NetworkMode: "" });
  expect(hostConfig).toMatchObject({
    ShmSize: 67108864,
    IpcMode: "private",
    CgroupnsMode: "private",
    NetworkMode: "bridge",
    MemorySwap: 128 * MiB,
    OomKillDisable: false,
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    LogConfig: { Type: "json-file", Config: {} },
    ReadonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  });
  expect(config.Hostname).toBe("c0ffeec0ffee");
  expect(prepare({ Privileged: true }).hostConfig).toMatchObject({ MaskedPaths: null, ReadonlyPaths: null });
});

test("an image's health check is the container's, unless it has its own", () => {
  const image = { Healthcheck: { Test: ["CMD", "true"] } };
  const create = (config: DockerContainerConfig) =>
    prepareContainer(
      { id: CONTAINER_ID, config: { Cmd: ["true"], ...config }, hostConfig: { NetworkMode: "none" }, image },
      contextFor(),
    );
  expect(create({}).config.Healthcheck).toEqual({ Test: ["CMD", "true"] });
  expect(create({ Healthcheck: { Test: ["NONE"] } }).config.Healthcheck).toEqual({ Test: ["NONE"] });
});

test("a restart policy is kept as given", () => {
  const RestartPolicy = { Name: "on-failure", MaximumRetryCount: 3 };
  expect(prepare({ RestartPolicy }).hostConfig.RestartPolicy).toEqual(RestartPolicy);
});

test("Docker's names for its own runtime are accepted, and kept", () => {
  for (const Runtime of ["runc", "io.containerd.runc.v2"])
    expect(prepare({ Runtime }).hostConfig.Runtime).toBe(Runtime);
});

test("the host config that was given is not changed", () => {
  const given: DockerHostConfig = Object.freeze({ NetworkMode: "none", Memory: 64 * MiB, BlkioWeight: 500 });
  prepare(given);
  expect(given).toEqual({ NetworkMode: "none", Memory: 64 * MiB, BlkioWeight: 500 });
});
