import { LighterError } from "../base/errors.ts";
import { type CgroupHost, detectCgroupHost, readPids } from "../linux/cgroup/mod.ts";

let host: CgroupHost | undefined;

/** Looked for once a command: hierarchies do not come and go meanwhile, and reading where they are costs half a millisecond. */
export function cgroupHost(): CgroupHost {
  host ??= detectCgroupHost();
  return host;
}

/** @throws LighterError ("not-supported") for a container that was created without one, by a user who may make none */
export function cgroupsPathOf({ state }: { state: { cgroupsPath: string } }): string {
  if (state.cgroupsPath === "") throw new LighterError("not-supported", "the container has no cgroup");
  return state.cgroupsPath;
}

/** The container's processes, in the kernel's order; those of cgroups that it made for itself are among them. */
export function processesOf(host: CgroupHost, cgroupsPath: string): number[] {
  return readPids(`${(host.v2 ?? host.v1[0])?.mountPoint}${cgroupsPath}`);
}
