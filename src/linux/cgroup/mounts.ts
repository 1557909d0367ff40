/** Plans the mounts that make a container's /sys/fs/cgroup. */
import type { CgroupHost, CgroupV1Hierarchy } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";

/** One step of making a container's /sys/fs/cgroup. Targets are paths in the container; missing ones are made. */
export type CgroupMount =
  | {
      kind: "tmpfs" | "cgroup" | "cgroup2";
      target: string;
      /** Parameters for fsconfig(2), in order: FSCONFIG_SET_STRING for one with a value, else FSCONFIG_SET_FLAG. */
      parameters: readonly { key: string; value?: string }[];
    }
  /** `source` is a path on the host. */
  | { kind: "bind"; source: string; target: string }
  /** A symbolic link at `target` that holds `text`. */
  | { kind: "symlink"; target: string; text: string };

/**
 * The mounts for an OCI mount of type "cgroup" at `target` (usually /sys/fs/cgroup), in order. The caller sets mount flags (ro,
 * nosuid …) last: the tmpfs must stay writable until the directories in it are made.
 *
 * In a cgroup namespace of its own the container sees its cgroup as the top of each hierarchy, so fresh mounts show no more than
 * that; the mounting process must already be in the cgroup and the namespace. Without a namespace, v1 directories are bound from
 * the host, and v2 is bound as the host sees it, which is what runc shows. v2 is not mounted afresh in the host's cgroup
 * namespace because the new mount's options (none) would replace those of the host's, nsdelegate and memory_recursiveprot.
 * Source: apply_cgroup_root_flags() in kernel/cgroup/cgroup.c.
 *
 * v1 looks as with systemd and runc: a directory for each hierarchy, and links for controllers that share one.
 */
export function cgroupMounts(
  host: CgroupHost,
  cgroupsPath: string,
  hasCgroupNamespace: boolean,
  target = "/sys/fs/cgroup",
): CgroupMount[] {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  if (host.mode === "unified")
    return [
      hasCgroupNamespace
        ? { kind: "cgroup2", target, parameters: [] }
        : { kind: "bind", source: host.v2!.mountPoint, target },
    ];

  const mounts: CgroupMount[] = [{ kind: "tmpfs", target, parameters: [{ key: "mode", value: "755" }] }];
  for (const hierarchy of host.v1) {
    const directory = hierarchy.name ?? hierarchy.controllers.join(",");
    const inside = `${target}/${directory}`;
    if (hasCgroupNamespace) mounts.push({ kind: "cgroup", target: inside, parameters: parametersOf(hierarchy) });
    else mounts.push({ kind: "bind", source: `${hierarchy.mountPoint}/${path}`, target: inside });
    if (hierarchy.controllers.length > 1)
      for (const controller of hierarchy.controllers)
        mounts.push({ kind: "symlink", target: `${target}/${controller}`, text: directory });
  }
  if (host.v2 !== undefined) {
    const inside = `${target}/unified`;
    if (hasCgroupNamespace) mounts.push({ kind: "cgroup2", target: inside, parameters: [] });
    else mounts.push({ kind: "bind", source: `${host.v2.mountPoint}/${path}`, target: inside });
  }
  return mounts;
}

/**
 * The parameters that name a hierarchy. They must name exactly one that exists: any other set would make a new one, or be refused
 * (EBUSY).
 */
function parametersOf({ name, controllers }: CgroupV1Hierarchy): { key: string; value?: string }[] {
  if (name === undefined) return controllers.map((key) => ({ key }));
  return [{ key: "none" }, { key: "xattr" }, { key: "name", value: name }];
}
