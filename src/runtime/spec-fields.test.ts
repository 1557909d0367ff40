import { describe, expect, test } from "bun:test";
import { HYBRID, UNIFIED_V2 } from "../../tests/support/program-cases.ts";
import { encodeProgram } from "../linux/program/encode.ts";
import { loadCompiler } from "../linux/seccomp/memo.ts";
import type * as Oci from "../spec/oci-runtime.ts";
import { compileExec, compileStart } from "./compile.ts";
import type { HostFacts } from "./host-facts.ts";
import * as netDevices from "./net-devices.ts";
import * as network from "./network.ts";

await loadCompiler();

/*
 * Checks every field of runtime-spec's config, one by one: setting it changes the program, or is refused by its name, or it is
 * for another part. The tables are complete by their types: a new field does not compile until it has a row here.
 */

const RESCTRL = "25 1 0:24 / /sys/fs/resctrl rw - resctrl resctrl rw\n";
const host: HostFacts = {
  ...UNIFIED_V2,
  readText: (path) => (path === "/proc/self/mountinfo" ? RESCTRL : /uid_map|resctrl/.test(path) ? undefined : "Y"),
};

function base(): Oci.OciConfig {
  return {
    ociVersion: "1.2.0",
    process: { cwd: "/", args: ["/bin/true"], env: [], user: { uid: 0, gid: 0 }, capabilities: {} },
    root: { path: "/images/one" },
    mounts: [
      { destination: "/proc", type: "proc" },
      { destination: "/dev", type: "tmpfs" },
    ],
    linux: {
      namespaces: (["mount", "pid", "uts", "ipc", "network", "time"] as const).map((type) => ({ type })),
      cgroupsPath: "/one",
    },
  };
}

const stdio = { terminal: false, stdin: false };

function start(change: Change = () => {}, facts = host): string {
  const config = base();
  change(config);
  const request = { id: "x", config, rootfs: [], runDirectory: "/run/x", stdio, attach: [] };
  return Buffer.from(
    encodeProgram(compileStart(request, facts, false, { ...network, ...netDevices }).program),
  ).toString("latin1");
}

function exec(change: Change = () => {}): string {
  const config = base();
  change(config);
  const process = config.process!;
  const request = { id: "y", containerPid: 9, config, process, runDirectory: "/run/y", stdio, attach: [] };
  return Buffer.from(encodeProgram(compileExec(request, host))).toString("latin1");
}

type Change = (config: Oci.OciConfig) => void;
/** A field's row: a value that changes the program; another part that reads the field; or a test of its own. */
type Row<Value> =
  | { set: Value }
  | { elsewhere: string }
  | { from: Change; to: Change; in?: typeof exec; on?: HostFacts };
type Table<T> = { [K in keyof Required<T>]: Row<NonNullable<T[K]>> };

const ids = (hostID: number): Oci.OciIdMapping[] => [{ containerID: 0, hostID, size: 10 }];
const agent = (change: Partial<Oci.OciSeccomp> = {}): Oci.OciSeccomp => ({
  defaultAction: "SCMP_ACT_ALLOW",
  listenerPath: "/run/agent",
  syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
  ...change,
});
const seccomp =
  (change: Oci.OciSeccomp): Change =>
  ({ linux }) =>
    void Object.assign(linux!, { seccomp: change });
const filter = (rule: Partial<Oci.OciSeccompRule>, rest: Partial<Oci.OciSeccomp> = {}): Change =>
  seccomp({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", ...rule }],
    ...rest,
  });
const argument = (arg: Partial<Oci.OciSeccompArg>): Change =>
  filter({ args: [{ index: 0, value: 5, valueTwo: 1, op: "SCMP_CMP_MASKED_EQ", ...arg }] });
const scheduler =
  (change: Oci.OciScheduler): Change =>
  ({ process }) =>
    void Object.assign(process!, { scheduler: change });
const DEADLINE = { policy: "SCHED_DEADLINE", runtime: 1, deadline: 2, period: 3 };
const mount =
  (change: Partial<Oci.OciMount>): Change =>
  ({ mounts }) =>
    void Object.assign(mounts!, {
      2: { destination: "/data", type: "bind", source: "/srv", options: ["bind"], ...change },
    });
const device =
  (change: Partial<Oci.OciDevice>): Change =>
  ({ linux }) =>
    void Object.assign(linux!, { devices: [{ path: "/dev/x", type: "c", major: 1, minor: 2, ...change }] });
const resources =
  (change: Oci.OciResources): Change =>
  ({ linux }) =>
    void Object.assign(linux!, { resources: change });

const CONFIG: Table<Oci.OciConfig> = {
  ociVersion: { elsewhere: "oci/bundle.ts checks it; it is in the state" },
  process: { set: { cwd: "/", args: ["/bin/false"] } },
  root: { set: { path: "/images/other" } },
  hostname: { set: "box" },
  domainname: { set: "example.org" },
  mounts: { set: [] },
  hooks: { elsewhere: "oci/hooks.ts runs them" },
  annotations: { from: seccomp(agent()), to: (config) => Object.assign(config, { annotations: { a: "b" } }) },
  linux: { elsewhere: "the table below" },
};

const PROCESS: Table<Oci.OciProcess> = {
  terminal: { elsewhere: "StdioPlan says it" },
  consoleSize: { elsewhere: "with a terminal: tests/kernel/runtime-stdio.test.ts" },
  cwd: { set: "/work" },
  env: { set: ["A=b"] },
  args: { set: ["/bin/false"] },
  user: { set: { uid: 1, gid: 0 } },
  capabilities: { set: { bounding: ["CAP_KILL"] } },
  rlimits: { set: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }] },
  noNewPrivileges: { set: true },
  apparmorProfile: { set: "docker-default" },
  selinuxLabel: { set: "u:r:t:s0" },
  oomScoreAdj: { set: 7 },
  scheduler: { set: { policy: "SCHED_IDLE" } },
  ioPriority: { set: { class: "IOPRIO_CLASS_IDLE", priority: 0 } },
  // Not for the container's first process. Source: config.md#process.
  execCPUAffinity: {
    in: exec,
    from: () => {},
    to: ({ process }) => Object.assign(process!, { execCPUAffinity: { final: "1" } }),
  },
};

const USER: Table<Oci.OciUser> = {
  uid: { set: 3 },
  gid: { set: 3 },
  umask: { set: 0o77 },
  additionalGids: { set: [4] },
};

const CAPABILITIES: Table<Oci.OciCapabilities> = {
  bounding: { set: ["CAP_KILL"] },
  effective: { set: ["CAP_KILL"] },
  inheritable: { set: ["CAP_KILL"] },
  permitted: { set: ["CAP_KILL"] },
  ambient: { set: ["CAP_KILL"] },
};

const SCHEDULER: Table<Oci.OciScheduler> = {
  policy: { from: scheduler({ policy: "SCHED_OTHER" }), to: scheduler({ policy: "SCHED_BATCH" }) },
  nice: { from: scheduler({ policy: "SCHED_OTHER" }), to: scheduler({ policy: "SCHED_OTHER", nice: 1 }) },
  priority: { from: scheduler({ policy: "SCHED_RR" }), to: scheduler({ policy: "SCHED_RR", priority: 1 }) },
  flags: {
    from: scheduler({ policy: "SCHED_OTHER" }),
    to: scheduler({ policy: "SCHED_OTHER", flags: ["SCHED_FLAG_RESET_ON_FORK"] }),
  },
  runtime: { from: scheduler(DEADLINE), to: scheduler({ ...DEADLINE, runtime: 9 }) },
  deadline: { from: scheduler(DEADLINE), to: scheduler({ ...DEADLINE, deadline: 9 }) },
  period: { from: scheduler(DEADLINE), to: scheduler({ ...DEADLINE, period: 9 }) },
};

const MOUNT: Table<Oci.OciMount> = {
  destination: { from: mount({}), to: mount({ destination: "/other" }) },
  type: { from: mount({ options: [] }), to: mount({ options: [], type: "tmpfs" }) },
  source: { from: mount({}), to: mount({ source: "/var" }) },
  options: { from: mount({}), to: mount({ options: ["bind", "ro"] }) },
  uidMappings: {
    from: mount({ uidMappings: ids(1), gidMappings: ids(1) }),
    to: mount({ uidMappings: ids(2), gidMappings: ids(1) }),
  },
  gidMappings: {
    from: mount({ uidMappings: ids(1), gidMappings: ids(1) }),
    to: mount({ uidMappings: ids(1), gidMappings: ids(2) }),
  },
};

const inUserNamespace =
  (uids: number, gids: number): Change =>
  ({ linux }) => {
    linux!.namespaces!.push({ type: "user" });
    Object.assign(linux!, { uidMappings: ids(uids), gidMappings: ids(gids) });
  };

const LINUX: Table<Oci.OciLinux> = {
  namespaces: { set: [{ type: "mount" }, { type: "network" }] },
  uidMappings: { from: inUserNamespace(1000, 1000), to: ({ linux }) => Object.assign(linux!, { uidMappings: ids(7) }) },
  gidMappings: { from: inUserNamespace(1000, 1000), to: ({ linux }) => Object.assign(linux!, { gidMappings: ids(7) }) },
  timeOffsets: { set: { monotonic: { secs: 1, nanosecs: 2 } } },
  devices: { set: [{ path: "/dev/x", type: "p" }] },
  cgroupsPath: { set: "/other" },
  resources: { set: { pids: { limit: 5 } } },
  intelRdt: { set: { memBwSchema: "MB:0=50" } },
  sysctl: { set: { "net.ipv4.ip_forward": "1" } },
  seccomp: { set: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_LOG" }] } },
  rootfsPropagation: { set: "rshared" },
  maskedPaths: { set: ["/proc/kcore"] },
  readonlyPaths: { set: ["/proc/sys"] },
  mountLabel: { set: "u:r:f:s0" },
  personality: { set: { domain: "LINUX32" } },
  netDevices: { set: { eth7: { name: "data0" } } },
  memoryPolicy: { set: { mode: "MPOL_BIND", nodes: "0" } },
};

const DEVICE: Table<Oci.OciDevice> = {
  path: { from: device({}), to: device({ path: "/dev/y" }) },
  type: { from: device({}), to: device({ type: "b" }) },
  major: { from: device({}), to: device({ major: 5 }) },
  minor: { from: device({}), to: device({ minor: 5 }) },
  fileMode: { from: device({}), to: device({ fileMode: 0o600 }) },
  uid: { from: device({}), to: device({ uid: 5 }) },
  gid: { from: device({}), to: device({ gid: 5 }) },
};

const SECCOMP: Table<Oci.OciSeccomp> = {
  defaultAction: { from: filter({}), to: filter({}, { defaultAction: "SCMP_ACT_LOG" }) },
  defaultErrnoRet: {
    from: filter({ action: "SCMP_ACT_ALLOW" }, { defaultAction: "SCMP_ACT_ERRNO" }),
    to: filter({ action: "SCMP_ACT_ALLOW" }, { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 9 }),
  },
  architectures: { from: filter({}), to: filter({}, { architectures: ["SCMP_ARCH_X86"] }) },
  flags: { from: filter({}), to: filter({}, { flags: ["SECCOMP_FILTER_FLAG_LOG"] }) },
  listenerPath: { from: seccomp(agent()), to: seccomp(agent({ listenerPath: "/run/other" })) },
  listenerMetadata: { from: seccomp(agent()), to: seccomp(agent({ listenerMetadata: "x" })) },
  syscalls: { from: filter({}), to: filter({}, { syscalls: [{ names: ["rmdir"], action: "SCMP_ACT_ERRNO" }] }) },
};

const RULE: Table<Oci.OciSeccompRule> = {
  names: { from: filter({}), to: filter({ names: ["rmdir"] }) },
  action: { from: filter({}), to: filter({ action: "SCMP_ACT_TRAP" }) },
  errnoRet: { from: filter({}), to: filter({ errnoRet: 9 }) },
  args: { from: filter({}), to: argument({}) },
};

const ARG: Table<Oci.OciSeccompArg> = {
  index: { from: argument({}), to: argument({ index: 1 }) },
  value: { from: argument({}), to: argument({ value: 7 }) },
  valueTwo: { from: argument({}), to: argument({ valueTwo: 4 }) },
  op: { from: argument({}), to: argument({ op: "SCMP_CMP_GT" }) },
};

/** The fields in each of these are for src/linux/cgroup. The network classes are cgroup v1's. */
const RESOURCES: Table<Oci.OciResources> = {
  devices: { set: [{ allow: false, access: "rwm" }] },
  memory: { set: { limit: 2 ** 20 } },
  cpu: { set: { shares: 512 } },
  pids: { set: { limit: 5 } },
  blockIO: { set: { weight: 100 } },
  hugepageLimits: { set: [{ pageSize: "2MB", limit: 2 ** 21 }] },
  network: {
    on: HYBRID,
    from: () => {},
    to: resources({ network: { classID: 5, priorities: [{ name: "eth0", priority: 1 }] } }),
  },
  rdma: { set: { mlx5_1: { hcaHandles: 3 } } },
  unified: { set: { "memory.high": "1000000" } },
};

/** The compiled program, or the error that refuses the config. */
function outcome(of: () => string): string {
  try {
    return of();
  } catch (error) {
    return (error as Error).message;
  }
}

function check<T extends object>(name: string, table: Table<T>, objectOf: (config: Oci.OciConfig) => object): void {
  describe(`each field of ${name} is honoured, or refused by its name`, () => {
    for (const [field, row] of Object.entries(table) as [string, Row<unknown>][]) {
      if ("elsewhere" in row) continue;
      test(field, () => {
        if ("set" in row) {
          const changed = outcome(() => start((config) => void Object.assign(objectOf(config), { [field]: row.set })));
          if (changed.length < 200) expect(changed).toContain(field);
          expect(changed).not.toBe(start());
          return;
        }
        const compile = row.in ?? ((change: Change) => start(change, row.on ?? host));
        const plain = compile(row.from);
        const changed = outcome(() =>
          compile((config) => {
            row.from(config);
            row.to(config);
          }),
        );
        if (changed.length < 200) expect(changed).toContain(field);
        expect(changed).not.toBe(plain);
      });
    }
  });
}

check<Oci.OciConfig>("the config", CONFIG, (config) => config);
check<Oci.OciProcess>("process", PROCESS, (config) => config.process!);
check<Oci.OciUser>("process.user", USER, (config) => config.process!.user!);
check<Oci.OciCapabilities>("process.capabilities", CAPABILITIES, (config) => config.process!.capabilities!);
check<Oci.OciScheduler>("process.scheduler", SCHEDULER, (config) => config.process!);
check<Oci.OciMount>("mounts", MOUNT, (config) => config);
check<Oci.OciLinux>("linux", LINUX, (config) => config.linux!);
check<Oci.OciDevice>("linux.devices", DEVICE, (config) => config.linux!);
check<Oci.OciSeccomp>("linux.seccomp", SECCOMP, (config) => config.linux!);
check<Oci.OciSeccompRule>("linux.seccomp.syscalls", RULE, (config) => config.linux!);
check<Oci.OciSeccompArg>("linux.seccomp.syscalls.args", ARG, (config) => config.linux!);
check<Oci.OciResources>("linux.resources", RESOURCES, (config) => {
  config.linux!.resources = {};
  return config.linux!.resources;
});
