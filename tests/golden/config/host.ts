import type { HostDevice, HostFacts, HostProbe } from "../../../src/engine/config/mod.ts";
import { CAPABILITIES } from "../../../src/linux/capability/mod.ts";
import { readRights } from "../../../src/linux/rights.ts";
import type { OciConfig, OciDevice } from "../../../src/spec/oci-runtime.ts";
import docker26Privileged from "./docker-26/privileged.json" with { type: "json" };

/** The machine on which Docker 26 was asked: cgroup v1, two CPUs, no BFQ, and a daemon without CAP_SYS_RESOURCE. */
export const HYBRID_HOST: HostFacts = {
  hostname: "vm",
  arch: "amd64",
  kernelVersion: "6.18.44",
  cpus: "0-1",
  memoryNodes: "0",
  cgroup: {
    mode: "hybrid",
    memoryLimit: true,
    memoryReservation: true,
    swapLimit: true,
    memorySwappiness: true,
    oomKillDisable: true,
    pidsLimit: true,
    cpuShares: true,
    cpuCfs: true,
    cpuRealtime: false,
    cpuset: true,
    blkioWeight: false,
    blkioWeightDevice: false,
    blkioThrottle: true,
  },
  capabilities: CAPABILITIES.filter((name) => name !== "CAP_SYS_RESOURCE"),
  rights: readRights(() => undefined),
  seLinux: false,
  appArmor: undefined,
  timeNamespaces: true,
  thermalThrottleCpus: [],
};

/** Another machine: cgroup v2 with everything it has, and hardware that throttles. */
export const UNIFIED_HOST: HostFacts = {
  ...HYBRID_HOST,
  cgroup: {
    ...HYBRID_HOST.cgroup,
    mode: "unified",
    memorySwappiness: false,
    oomKillDisable: false,
    blkioWeight: true,
    blkioWeightDevice: true,
  },
  capabilities: CAPABILITIES,
  thermalThrottleCpus: [0, 1],
};

const OCI_DEVICES: readonly OciDevice[] = (docker26Privileged.config as unknown as OciConfig).linux?.devices ?? [];

/** That machine's /dev, with what a privileged container must not get, and its propagation: /dev shared, / private. */
export const PROBE: HostProbe = probeWith([
  ...OCI_DEVICES.map((device): HostDevice => {
    const { path, type, major = 0, minor = 0, fileMode = 0, uid = 0, gid = 0 } = device;
    return { path, type: type === "b" ? "b" : "c", major, minor, mode: fileMode, uid, gid };
  }),
  { path: "/dev/console", type: "c", major: 5, minor: 1, mode: 0o600, uid: 0, gid: 0 },
  { path: "/dev/pts/0", type: "c", major: 136, minor: 0, mode: 0o620, uid: 0, gid: 5 },
]);

function probeWith(devices: readonly HostDevice[]): HostProbe {
  const directories = ["/", "/dev", "/dev/net", "/dev/cpu", "/srv", "/mnt", "/usr/share", "/empty"];
  return {
    fileType(path) {
      const device = devices.find((each) => each.path === path);
      if (device !== undefined) return device.type === "b" ? "block" : "character";
      if (directories.includes(path)) return "directory";
      return path.startsWith("/etc/") ? "file" : undefined;
    },
    fileTypeBeneath: (_directory, path) => (path === "none" ? undefined : "directory"),
    device: (path) => devices.find((each) => each.path === path),
    devicesBelow: (directory) => devices.filter((each) => each.path.startsWith(`${directory}/`)),
    propagation: (path) =>
      path.startsWith("/dev")
        ? { mountPoint: "/dev", shared: true, slave: false }
        : path.startsWith("/mnt")
          ? { mountPoint: "/mnt", shared: false, slave: true }
          : { mountPoint: "/", shared: false, slave: false },
  };
}
