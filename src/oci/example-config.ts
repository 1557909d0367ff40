/** The config that `spec` writes. */
import type { OciConfig, OciMount } from "../spec/oci-runtime.ts";
import { SPEC_VERSION } from "../spec/oci-version.ts";

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/**
 * The config that `spec` writes: a shell in new namespaces, with few capabilities and a read-only root. Values and order are
 * runc's, for the scripts that edit them; as with runc, only hosts with cgroup v2 get a cgroup namespace.
 */
export function exampleConfig(onCgroupV2: boolean): OciConfig {
  return {
    ociVersion: SPEC_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      // No capability is inheritable (CVE-2022-29162) or ambient: a program that changes its user gains none.
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "lighter",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      tmpfs("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      tmpfs("/dev/shm", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
      },
    ],
    linux: {
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: [
        { type: "pid" },
        { type: "network" },
        { type: "ipc" },
        { type: "uts" },
        { type: "mount" },
        ...(onCgroupV2 ? [{ type: "cgroup" } as const] : []),
      ],
      maskedPaths: [
        ..."/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list".split(" "),
        ..."/proc/timer_stats /proc/sched_debug /sys/firmware /proc/scsi".split(" "),
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

/**
 * The config for a user other than root: in a user namespace where that user is root, with the host's network and, since sysfs
 * belongs to a network namespace, the host's /sys. It has no device rules: they need root.
 */
export function toRootless(config: OciConfig, uid: number, gid: number): OciConfig {
  const { resources: _, ...linux } = config.linux ?? {};
  const namespaces = (linux.namespaces ?? []).filter(({ type }) => type !== "network" && type !== "user");
  return {
    ...config,
    mounts: (config.mounts ?? []).map(rootlessMount),
    linux: {
      uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
      ...linux,
      namespaces: [...namespaces, { type: "user" }],
    },
  };
}

function rootlessMount(mount: OciMount): OciMount {
  if (mount.destination === "/sys")
    return { ...mount, type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"] };
  // Only mapped ids can own a file.
  const options = mount.options?.filter((option) => !/^[ug]id=/.test(option));
  return options ? { ...mount, options } : mount;
}

function tmpfs(destination: string, source: string, options: string[]): OciMount {
  return { destination, type: "tmpfs", source, options };
}
