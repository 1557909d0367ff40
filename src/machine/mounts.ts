/** The mounts of machines. */

import type { OciMount, VolumeMount } from "../spec/oci-runtime.ts";
import { WHOLE_KERNEL_MOUNTS } from "./nesting.ts";

const NETWORK_IN_SYS = "/sys/devices/virtual/net";
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const KERNEL = ["nosuid", "noexec", "nodev"];
const CGROUPS: OciMount = { destination: "/sys/fs/cgroup", type: "cgroup2", source: "cgroup", options: KERNEL };

/**
 * The propagation of a machine's mounts, among mount namespaces in the machine: none of the host's is their peer. systemd mounts the
 * credentials of a service in a namespace that ends before the service begins; without this they end with it (seen with 257).
 */
export const MACHINE_PROPAGATION = "rshared";

/**
 * Changes the mounts that every container has to those of a machine. /sys is read-only, by which udev knows that no devices are
 * its own, apart from the interfaces of the network namespace. Its cgroups are its own to divide: wherever there is v2, it sees that
 * alone (docs/adr/0018-machines.md).
 * @param files paths on the host: the directory that tells of the host, and the file with the id of this boot
 * @param nesting whether user namespaces in it are to mount their own /proc
 * Source: systemd.io/CONTAINER_INTERFACE.
 */
export function machineMounts(
  ofContainers: readonly OciMount[],
  files: { host: string; bootId: string },
  { cgroups, nesting }: { cgroups: "unified" | "hybrid" | "legacy"; nesting: boolean },
): VolumeMount[] {
  const mounts = ofContainers.flatMap((mount): VolumeMount[] => {
    if (mount.destination === "/sys") return sysfs(mount);
    if (mount.destination === "/sys/fs/cgroup") return [cgroups === "legacy" ? writable(mount) : CGROUPS];
    return [mount];
  });
  return [
    ...mounts,
    { destination: "/run", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=755"] },
    { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777"] },
    { ...readOnly(files.host, "/run/host"), kind: "directory" },
    { ...readOnly(files.bootId, BOOT_ID), kind: "file" },
    ...(nesting ? WHOLE_KERNEL_MOUNTS : []),
  ];
}

function sysfs(mount: OciMount): VolumeMount[] {
  return [
    writable(mount),
    { destination: NETWORK_IN_SYS, type: "bind", source: NETWORK_IN_SYS, options: ["bind", "rprivate"], inside: true },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["remount", "ro", ...KERNEL] },
  ];
}

function readOnly(source: string, destination: string): OciMount {
  return { destination, type: "bind", source, options: ["bind", "ro", ...KERNEL, "rprivate"] };
}

function writable(mount: OciMount): OciMount {
  return { ...mount, options: (mount.options ?? []).filter((option) => option !== "ro") };
}
