/** The host's cgroups, and the one of a container. */
import { LighterError } from "../base/errors.ts";
import { type CgroupHost, detectCgroupHost, readPids } from "../linux/cgroup/mod.ts";

let host: CgroupHost | undefined;

/**
 * The host's hierarchies. They are looked for once a command: they do not change meanwhile, and finding them costs half a
 * millisecond.
 */
export function cgroupHost(): CgroupHost {
  host ??= detectCgroupHost();
  return host;
}

/**
 * The path of the container's cgroup.
 * @throws LighterError ("not-supported") for a container without one, which a user who may make none has created
 */
export function cgroupsPathOf({ state }: { state: { cgroupsPath: string } }): string {
  if (state.cgroupsPath === "") throw new LighterError("not-supported", "the container has no cgroup");
  return state.cgroupsPath;
}

/** The container's processes in the kernel's order, including those in cgroups that the container made for itself. */
export function processesOf(host: CgroupHost, cgroupsPath: string): number[] {
  return readPids(`${(host.v2 ?? host.v1[0])?.mountPoint}${cgroupsPath}`);
}
