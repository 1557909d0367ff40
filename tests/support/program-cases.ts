/** Starts whose programs golden and fuzz tests use. */
import { DOCKER_DEFAULT_CAPABILITIES } from "../../src/linux/capability/mod.ts";
import { defaultDeviceRules, detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import type { Program } from "../../src/linux/program/op.ts";
import { loadCompiler } from "../../src/linux/seccomp/memo.ts";
import { compileExec, compileStart } from "../../src/runtime/compile.ts";
import { compileConnect, compileDisconnect, compileRemoveLink } from "../../src/runtime/connect.ts";
import type { HostFacts } from "../../src/runtime/host-facts.ts";
import { compileLater, type KeptContainer } from "../../src/runtime/later.ts";
import * as netDevices from "../../src/runtime/net-devices.ts";
import * as network from "../../src/runtime/network.ts";
import { compileStandIn, type StandInPlan } from "../../src/runtime/stand-in.ts";
import type { StartRequest } from "../../src/runtime/types.ts";
import type { NamespaceType, OciConfig, OciMount, VolumeMount } from "../../src/spec/oci-runtime.ts";
import { PLAIN_HYBRID, readFrom, UNIFIED } from "./cgroup-hosts.ts";

await loadCompiler();

/* Starts and execs that together use every op, on hosts that are not this one. */

const facts = (files: Record<string, string>): HostFacts => ({
  cgroups: detectCgroupHost(readFrom(files)),
  kindOf: (path) => (path.endsWith("/") || !/\.\w+$|passwd|hosts/.test(path) ? "directory" : "file"),
  rootMountpoint: "/run/lighter/rootfs",
});

export const HYBRID: HostFacts = facts(PLAIN_HYBRID);
export const UNIFIED_V2: HostFacts = facts(UNIFIED);

/** A host with both security modules, which no kernel has. */
const LABELLED: HostFacts = {
  ...UNIFIED_V2,
  readText: (path) => (path.startsWith("/proc/self/uid_map") ? undefined : "Y"),
};

export interface ProgramCase {
  name: string;
  program: Program;
}

interface Options {
  host?: HostFacts;
  hold?: boolean;
  change?: (config: OciConfig) => void;
  request?: Partial<StartRequest>;
}

const NAMESPACES: readonly NamespaceType[] = ["pid", "network", "mount", "ipc", "uts", "cgroup"];

function config(): OciConfig {
  const capabilities = [...DOCKER_DEFAULT_CAPABILITIES];
  return {
    ociVersion: "1.2.0",
    hostname: "box",
    process: {
      cwd: "/",
      args: ["sh", "-c", "echo hello"],
      env: ["PATH=/usr/local/bin:/bin", "HOME=/root"],
      user: { uid: 0, gid: 0, additionalGids: [0, 10] },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: "/images/alpine" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "gid=5"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    ],
    linux: { namespaces: NAMESPACES.map((type) => ({ type })), cgroupsPath: "/lighter/web" },
  };
}

function request(options: Options): StartRequest {
  const made = config();
  options.change?.(made);
  return {
    id: "web",
    config: made,
    rootfs: [],
    runDirectory: "/run/lighter/web",
    stdio: { terminal: made.process?.terminal ?? false, stdin: false },
    attach: [],
    ...options.request,
  };
}

function start(name: string, options: Options = {}): ProgramCase {
  const { program } = compileStart(request(options), options.host ?? HYBRID, options.hold ?? false, {
    ...network,
    ...netDevices,
  });
  return { name, program };
}

function exec(name: string, process: Partial<NonNullable<OciConfig["process"]>>, options: Options = {}): ProgramCase {
  const made = request(options).config;
  const program = compileExec(
    {
      id: "exec-1",
      containerPid: 4242,
      config: made,
      process: { ...made.process!, ...process },
      runDirectory: "/run/lighter/exec-1",
      stdio: { terminal: process.terminal ?? false, stdin: true },
      attach: [],
    },
    options.host ?? HYBRID,
  );
  return { name, program };
}

function mapped(config: OciConfig): void {
  const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  config.linux!.namespaces!.push({ type: "user" });
  config.linux!.uidMappings = mappings;
  config.linux!.gidMappings = mappings;
}

/** Adds what an earlier mount has put into the root, with other owners. */
function idmapInside(config: OciConfig, mappings: Partial<OciMount>): void {
  config.mounts!.push(
    { destination: "/put", type: "bind", source: "/srv/put", options: ["bind"] },
    {
      destination: "/seen",
      type: "bind",
      source: "/images/alpine/put/below",
      options: ["rbind", "idmap"],
      ...mappings,
    },
  );
}

function listened(config: OciConfig): void {
  config.annotations = { from: "test" };
  config.linux!.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86_64"],
    listenerPath: "/run/agent.sock",
    listenerMetadata: "who",
    syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
  };
}

const MOUNTINFO: Readonly<Record<string, string>> = {
  "/proc/self/mountinfo": `20 1 0:18 / /sys rw - sysfs sysfs rw
21 1 0:19 / /proc rw - proc proc rw
22 1 0:19 / /images/alpine/proc rw - proc proc rw
23 1 0:20 / /srv/a\\040chroot/proc rw - proc proc rw
`,
};

const limits = (config: OciConfig) => {
  config.linux!.resources = {
    devices: defaultDeviceRules(),
    memory: { limit: 67_108_864 },
    cpu: { shares: 512, quota: 50_000, period: 100_000 },
    pids: { limit: 100 },
  };
};

export const PROGRAM_CASES: readonly ProgramCase[] = [
  start("hybrid"),
  start("unified", { host: UNIFIED_V2 }),
  start("hybrid-limits", { change: limits }),
  start("unified-limits", { host: UNIFIED_V2, change: limits }),
  start("no-pivot", { host: { ...HYBRID, readText: (path) => MOUNTINFO[path] }, request: { noPivot: true } }),
  start("no-cgroup", { change: (config) => delete config.linux!.cgroupsPath }),
  start("cgroup-mount", {
    change: (config) => {
      config.mounts!.push({
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: ["ro", "nosuid"],
      });
    },
  }),
  start("delegated-cgroup", {
    host: {
      ...HYBRID,
      readText: (path) => (path.endsWith("/delegate") ? "cgroup.procs\nmemory.reclaim\n" : undefined),
    },
    change: (config) => {
      mapped(config);
      const [source, options] = ["/sys/devices/virtual/net", ["bind"]];
      const below: VolumeMount = { destination: source, type: "bind", source, options, inside: true };
      config.mounts!.push(below, { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" });
    },
    request: {
      files: [
        { path: "/etc/hostname", text: "box\n" },
        { path: "/etc/resolv.conf", text: "nameserver 127.0.0.11\n", replaces: true },
      ],
    },
  }),
  start("view", { change: mapped, request: { view: true } }),
  start("view-unified", {
    host: UNIFIED_V2,
    change: (config) => {
      config.mounts!.push({ destination: "/proc/stat", type: "bind", source: "/proc/stat", options: ["bind"] });
    },
    request: { view: true },
  }),
  start("no-cgroup-namespace", {
    change: (config) => {
      config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "cgroup");
      config.mounts!.push({
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: ["ro", "nosuid"],
      });
    },
  }),
  start("terminal", {
    change: (config) => {
      Object.assign(config.process!, { terminal: true, consoleSize: { height: 24, width: 80 } });
      config.process!.user = { uid: 1000, gid: 1000, umask: 0o77 };
    },
    request: { stdio: { terminal: true, stdin: true } },
  }),
  start("user-namespace", {
    change: (config) => {
      mapped(config);
      config.process!.rlimits = [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4096 }];
    },
    request: { stdio: { terminal: false, stdin: true } },
  }),
  start("network", {
    request: {
      network: {
        interfaces: [
          {
            name: "eth0",
            link: { type: "veth", hostName: "veth1a2b3c4", bridgeIndex: 7, isolated: true, hairpin: false },
            macAddress: "02:42:ac:11:00:02",
            mtu: 1450,
            addresses: [
              { address: "172.17.0.2", prefixLength: 16 },
              { address: "fd00:17::2", prefixLength: 64 },
            ],
            gateways: ["172.17.0.1", "fd00:17::1"],
            routes: [{ destination: "10.1.0.0/16", via: "172.17.0.9" }],
            sysctls: { "net.ipv4.conf.IFNAME.forwarding": "1" },
          },
          {
            name: "eth1",
            link: { type: "macvlan", parentIndex: 2, mode: "bridge" },
            macAddress: "02:42:c0:a8:01:05",
            mtu: 0,
            addresses: [{ address: "192.168.1.5", prefixLength: 32 }],
            gateways: ["192.168.1.1"],
          },
          {
            name: "eth2",
            link: { type: "ipvlan", parentIndex: 3, mode: "l3", flag: "private" },
            macAddress: "",
            mtu: 0,
            addresses: [{ address: "10.6.0.2", prefixLength: 24 }],
            gateways: ["0.0.0.0"],
          },
        ],
        resolverPort: 5353,
      },
    },
  }),
  {
    name: "network-connect",
    program: compileConnect(
      {
        containerPid: 4711,
        interface: {
          name: "eth1",
          link: { type: "veth", hostName: "veth5d6e7f8", bridgeIndex: 8, isolated: false, hairpin: true },
          macAddress: "02:42:ac:12:00:02",
          mtu: 0,
          addresses: [{ address: "172.18.0.2", prefixLength: 16 }],
          gateways: [],
        },
        resolverPort: 5353,
      },
      HYBRID,
    ),
  },
  {
    name: "network-disconnect",
    program: compileDisconnect({
      containerPid: 4711,
      name: "eth1",
      gateways: [
        { gateway: "172.17.0.1", through: "eth0" },
        { gateway: "::", through: "eth2" },
      ],
    }).program,
  },
  { name: "network-remove-link", program: compileRemoveLink(8) },
  start("masked-readonly", {
    change: (config) => {
      config.root!.readonly = true;
      config.linux!.maskedPaths = ["/proc/kcore", "/sys/firmware"];
      config.linux!.readonlyPaths = ["/proc/sys"];
      config.linux!.rootfsPropagation = "rslave";
      config.mounts![1]!.options!.push("ro");
    },
  }),
  start("binds", {
    change: (config) => {
      config.mounts!.push(
        { destination: "/data", type: "bind", source: "/srv/data", options: ["rbind", "rshared"] },
        {
          destination: "/etc/hosts",
          type: "bind",
          source: "/run/lighter/web/hosts",
          options: ["bind", "ro", "rprivate"],
        },
        { destination: "/data/all", type: "bind", source: "/srv", options: ["rbind", "rro", "noexec", "slave"] },
      );
    },
  }),
  start("layers", {
    request: {
      rootfs: [
        {
          destination: "/",
          type: "overlay",
          source: "overlay",
          options: ["lowerdir=/l/A:/l/B", "upperdir=/c/web/upper", "workdir=/c/web/work"],
        },
      ],
      log: { path: "/c/web/web-json.log", maxBytes: 10_000_000, maxFiles: 3 },
    },
  }),
  start("idmapped-root", {
    change: (config) => {
      mapped(config);
      config.mounts!.push({ destination: "/data", type: "bind", source: "/srv/data", options: ["rbind"] });
    },
    request: {
      rootfs: [
        {
          destination: "/",
          type: "overlay",
          source: "overlay",
          options: ["lowerdir=/l/A:/l/B", "upperdir=/c/web/upper", "workdir=/c/web/work"],
        },
      ],
      idmappedDirectories: ["/l", "/c/web"],
    },
  }),
  start("shared-filesystems", {
    change: (config) => {
      mapped(config);
      const bind = { type: "bind", source: "/x", options: ["rbind", "idmap", "rro"] };
      const [whole, part]: VolumeMount[] = [
        { ...bind, destination: "/whole", filesystem: 0 },
        { ...bind, destination: "/part", filesystem: 1, part: { path: "a/f", type: "file" } },
      ];
      config.mounts!.push(whole!, part!);
    },
    request: {
      filesystems: [
        { namespaceFd: 20, rootFd: 21 },
        { namespaceFd: 22, rootFd: 23 },
      ],
    },
  }),
  start("notify", { request: { notifySocket: "/run/lighter/box/host/notify" }, change: mapped }),
  start("hold", { hold: true }),
  start("joined-namespaces", {
    change: (config) => {
      delete config.hostname;
      config.linux!.namespaces = NAMESPACES.map((type) =>
        ["network", "ipc", "pid"].includes(type) ? { type, path: `/proc/4242/ns/${type}` } : { type },
      );
    },
  }),
  start("joined-user-namespace", {
    change: (config) => {
      mapped(config);
      config.linux!.namespaces = config.linux!.namespaces!.map(({ type }) =>
        ["user", "network"].includes(type) ? { type, path: `/proc/4242/ns/${type}` } : { type },
      );
    },
  }),
  start("idmapped-inside", {
    change: (config) => {
      const ids = [{ containerID: 0, hostID: 1000, size: 65_536 }];
      idmapInside(config, { uidMappings: ids, gidMappings: ids });
    },
  }),
  start("idmapped-inside-user-namespace", {
    change: (config) => {
      mapped(config);
      idmapInside(config, {});
    },
  }),
  start("process", {
    change: (config) => {
      config.linux!.namespaces!.push({ type: "time" });
      config.linux!.timeOffsets = { boottime: { secs: 100, nanosecs: 5 } };
      config.linux!.sysctl = { "net.ipv4.ip_forward": "1" };
      config.linux!.devices = [
        { path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 0o600, uid: 1, gid: 2 },
      ];
      config.linux!.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
      };
      Object.assign(config.process!, {
        cwd: "/work",
        noNewPrivileges: true,
        oomScoreAdj: -500,
        user: { uid: 1000, gid: 1000 },
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: -1 }],
        capabilities: {
          bounding: ["CAP_NET_RAW"],
          permitted: ["CAP_NET_RAW"],
          inheritable: ["CAP_NET_RAW"],
          ambient: ["CAP_NET_RAW"],
        },
      });
    },
  }),
  start("mount-options", {
    change: (config) => {
      const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      config.mounts!.push(
        { destination: "/cache", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "ro", "mode=0700"] },
        { destination: "/run", type: "tmpfs", source: "tmpfs", options: ["nosuid"] },
        {
          destination: "/owned",
          type: "bind",
          source: "/srv/owned",
          options: ["rbind", "ridmap"],
          uidMappings: mappings,
          gidMappings: mappings,
        },
        { destination: "/dev", type: "tmpfs", options: ["remount", "ro", "size=1m"] },
      );
      config.linux!.devices = [{ path: "/dev/pipes/p", type: "p", fileMode: 0o600 }];
    },
  }),
  start("labels", {
    host: LABELLED,
    change: (config) => {
      Object.assign(config.process!, { apparmorProfile: "docker-default", selinuxLabel: "u:r:t:s0", oomScoreAdj: 0 });
      Object.assign(config.linux!, { mountLabel: "u:r:f:s0", personality: { domain: "LINUX32" } });
    },
  }),
  start("net-devices", {
    change: (config) =>
      Object.assign(config.linux!, {
        netDevices: { eth7: { name: "data0" }, ib0: {} },
        memoryPolicy: { mode: "MPOL_BIND", nodes: "0-1,3", flags: ["MPOL_F_STATIC_NODES"] },
      }),
    request: { netDeviceAddresses: { eth7: [{ address: "10.9.0.2", prefixLength: 24 }] } },
  }),
  start("scheduling", {
    change: (config) =>
      Object.assign(config.process!, {
        scheduler: { policy: "SCHED_FIFO", priority: 5, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
        ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 0 },
        execCPUAffinity: { initial: "0", final: "1" },
      }),
  }),
  start("hand-over", {
    hold: true,
    change: (config) => void Object.assign(config.process!, { terminal: true }),
    request: {
      stdio: { terminal: true, stdin: true },
      preserveFds: 1,
      handOver: { consoleSocketFd: 20, startFifoFd: 21 },
    },
  }),
  start("seccomp-agent", { hold: true, change: listened }),
  exec(
    "exec-seccomp-agent",
    { noNewPrivileges: true, execCPUAffinity: { initial: "0-3", final: "1" } },
    { host: UNIFIED_V2, change: listened },
  ),
  exec("exec", { args: ["/bin/id"], user: { uid: 33, gid: 33 } }),
  exec("exec-terminal", { args: ["sh"], terminal: true }, { host: UNIFIED_V2 }),
  exec("exec-user-namespace", { args: ["sh"] }, { change: mapped }),
  ...later("hybrid", HYBRID),
  ...later("v2", UNIFIED_V2),
  standIn("container-hybrid", { kind: "container", container: kept(HYBRID) }, true),
  standIn("container-v2", { kind: "container", container: kept(UNIFIED_V2) }, true),
  standIn("exec", { kind: "exec", directory: "/run/lighter-runtime/web/exec-0123456789abcdef" }, false),
  standIn("keep", { kind: "nothing" }, true),
];

function kept({ cgroups }: HostFacts): KeptContainer {
  return { directory: "/run/lighter-runtime/web", stateFile: "state.json", cgroups, cgroupsPath: "/lighter/web" };
}

function standIn(name: string, end: StandInPlan["end"], hasState: boolean): ProgramCase {
  const lighter = "/usr/local/bin/lighter";
  const plan: StandInPlan = {
    end,
    ...(hasState
      ? { state: { fd: 6, file: "state.json", texts: ['{"pid":', ',"pidStartTime":', ',"id":"web"}\n'] } }
      : { pidFile: { path: "/run/web.pid", temporary: "/run/.web.pid" } }),
    argv: ["lighter-runtime", "run", "web"],
    signals: [1, 2, 15, 28],
    preserved: [3],
    otherwise: {
      path: lighter,
      again: [lighter, "runtime", "run", "--again=4711", "web"],
      finish: [lighter, "runtime", "run", "--finish=4711", "web"],
      env: ["PATH=/bin"],
    },
  };
  return { name: `stand-in-${name}`, program: compileStandIn(plan, 9, 8) };
}

function later(name: string, host: HostFacts): ProgramCase[] {
  const programs = compileLater({
    ...kept(host),
    startFifo: "exec.fifo",
    pid: 4711,
    pidStartTime: 123_456,
    stateTexts: { created: '{"status":"created"}', running: '{"status":"running"}', stopped: '{"status":"stopped"}' },
  });
  return Object.entries(programs).map(([command, program]) => ({ name: `later-${command}-${name}`, program }));
}
