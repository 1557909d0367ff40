/** A config for tests that must see every field. */
import type { OciConfig } from "../../src/spec/oci-runtime.ts";

const HOOK = { path: "/bin/true", args: ["true", "a"], env: ["A=1"], timeout: 3 };
const MAPPING = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
const THROTTLE = [{ major: 8, minor: 0, rate: 1_000_000 }];

/** A config with a value in every field. */
export function fullConfig(): OciConfig {
  return {
    ociVersion: "1.2.0",
    process: {
      terminal: true,
      consoleSize: { height: 24, width: 80 },
      cwd: "/work",
      env: ["PATH=/bin", "TERM=xterm"],
      args: ["sh", "-c", "true"],
      user: { uid: 1000, gid: 1000, umask: 18, additionalGids: [5, 6] },
      capabilities: {
        bounding: ["CAP_KILL", "CAP_SYS_ADMIN"],
        effective: ["CAP_KILL"],
        inheritable: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4096 }],
      noNewPrivileges: true,
      apparmorProfile: "profile",
      selinuxLabel: "system_u:system_r:svirt_lxc_net_t:s0:c124,c675",
      oomScoreAdj: 100,
      scheduler: { policy: "SCHED_BATCH", nice: 3, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
      execCPUAffinity: { initial: "0", final: "0-1" },
    },
    root: { path: "rootfs", readonly: true },
    hostname: "box",
    domainname: "example",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
      { destination: "/data", type: "bind", source: "/srv", options: ["rbind", "rro", "rslave", "nodev"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] },
      { destination: "/idmapped", source: "/srv", options: ["bind"], uidMappings: MAPPING, gidMappings: MAPPING },
    ],
    hooks: {
      prestart: [HOOK],
      createRuntime: [HOOK],
      createContainer: [HOOK],
      startContainer: [HOOK],
      poststart: [HOOK],
      poststop: [HOOK],
    },
    annotations: { "org.example.key": "value" },
    linux: {
      namespaces: [
        { type: "pid" },
        { type: "network", path: "/proc/1/ns/net" },
        { type: "mount" },
        { type: "ipc" },
        { type: "uts" },
        { type: "user" },
        { type: "cgroup" },
        { type: "time" },
      ],
      uidMappings: MAPPING,
      gidMappings: MAPPING,
      timeOffsets: { monotonic: { secs: 10, nanosecs: 5 }, boottime: { secs: -10, nanosecs: 0 } },
      devices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 438, uid: 0, gid: 0 }],
      cgroupsPath: "/lighter-fuzz/box",
      resources: {
        devices: [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
        ],
        memory: { limit: 2 ** 28, reservation: 2 ** 27, swap: 2 ** 29, swappiness: 10, disableOOMKiller: false },
        cpu: { shares: 512, quota: 50_000, burst: 1000, period: 100_000, cpus: "0-1", mems: "0", idle: 0 },
        pids: { limit: 100 },
        blockIO: {
          weight: 100,
          weightDevice: [{ major: 8, minor: 0, weight: 200 }],
          throttleReadBpsDevice: THROTTLE,
          throttleWriteBpsDevice: THROTTLE,
          throttleReadIOPSDevice: THROTTLE,
          throttleWriteIOPSDevice: THROTTLE,
        },
        hugepageLimits: [{ pageSize: "2MB", limit: 2 ** 21 }],
        network: { classID: 1_048_577, priorities: [{ name: "eth0", priority: 500 }] },
        rdma: { mlx5_0: { hcaHandles: 3, hcaObjects: 10_000 } },
        unified: { "memory.high": "100000000" },
      },
      intelRdt: { closID: "guaranteed", l3CacheSchema: "L3:0=7f0;1=1f" },
      sysctl: { "net.ipv4.ip_forward": "1", "kernel.msgmax": "65536" },
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        flags: ["SECCOMP_FILTER_FLAG_LOG"],
        listenerPath: "/run/listener.sock",
        listenerMetadata: "data",
        syscalls: [
          {
            names: ["getcwd", "chmod"],
            action: "SCMP_ACT_ERRNO",
            errnoRet: 1,
            args: [{ index: 0, value: 1, valueTwo: 2, op: "SCMP_CMP_MASKED_EQ" }],
          },
        ],
      },
      rootfsPropagation: "slave",
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
      mountLabel: "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811",
      personality: { domain: "LINUX32" },
    },
  };
}
