/** Ops for a mount of the container's cgroups. */
import { LighterError } from "../../base/errors.ts";
import { cgroupMounts } from "../../linux/cgroup/mod.ts";
import { ATTR, type MountOptions } from "../../linux/mount/options.ts";
import { type OpList, slot, text } from "../../linux/program/builder.ts";
import type { OciConfig } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../host-facts.ts";
import { attach } from "./place.ts";
import { hasNamespace, type PlannedMount } from "./plan.ts";

export function mountCgroup(init: OpList, host: HostFacts, config: OciConfig, planned: PlannedMount): void {
  const { options, destination, why } = planned;
  const ownNamespace = hasNamespace(config, "cgroup");
  const path = config.linux?.cgroupsPath;
  if (!path) throw new LighterError("invalid", `${why}: a cgroup mount needs linux.cgroupsPath`);
  const [first, ...rest] = cgroupMounts(host.cgroups, path, ownNamespace, destination);
  if (first?.kind !== "tmpfs") {
    // These are all of the host's cgroups, some of which the namespace's root may own (CVE-2023-25809).
    const shared = !ownNamespace && hasNamespace(config, "user");
    const all = shared ? { ...options, set: options.set | ATTR.RDONLY } : options;
    for (const each of first ? [first, ...rest] : rest) mountOneCgroup(init, each, all, why);
    return;
  }
  init.newFilesystem(
    "tmpfs",
    [{ key: "source", value: "tmpfs" }, ...first.parameters],
    options.set & ~ATTR.RDONLY,
    "cgroups",
    why,
  );
  attach(init, "cgroups", destination, "directory", why);
  for (const each of rest) {
    const name = each.target.slice(destination.length + 1);
    if (each.kind === "symlink") init.call("symlinkat", [text(each.text), slot("cgroups"), text(name)], why);
    else mountOneCgroup(init, each, options, why);
  }
  if (options.set & ATTR.RDONLY) init.setAttributes("cgroups", { set: ATTR.RDONLY }, `${why}: read-only`);
}

type OneCgroup = ReturnType<typeof cgroupMounts>[number];

function mountOneCgroup(init: OpList, mount: OneCgroup, options: MountOptions, why: string): void {
  if (mount.kind === "bind") {
    init.cloneTree(mount.source, false, "cgroup", why);
    init.setAttributes("cgroup", { set: options.set, clear: options.clear }, why);
  } else if (mount.kind !== "symlink") {
    init.newFilesystem(
      mount.kind,
      [{ key: "source", value: "cgroup" }, ...mount.parameters],
      options.set,
      "cgroup",
      why,
    );
  }
  attach(init, "cgroup", mount.target, "directory", why);
}
