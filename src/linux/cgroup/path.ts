/** Reads and completes a config's `cgroupsPath`. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { CGROUP_PATH_MAX_BYTES } from "../../base/limits.ts";
import type { CgroupHost } from "./host.ts";

const NAME_MAX_BYTES = 255;

/**
 * The components of a `cgroupsPath`. Both "/a/b" and "a/b" start at the top of each hierarchy as mounted on this host: never at
 * this process's own cgroup, which holds processes and so may not hand controllers down (cgroup v2).
 * Source: runtime-spec config-linux.md#cgroups-path ("relative … MAY be interpreted relative to a runtime-determined location").
 * Newlines are refused, as the kernel does: they would forge lines of /proc/PID/cgroup.
 * @throws LighterError ("invalid")
 */
export function parseCgroupsPath(cgroupsPath: string): string[] {
  const refuse = (problem: string): never => {
    throw new LighterError("invalid", `cgroupsPath ${JSON.stringify(cgroupsPath)} ${problem}`);
  };
  if (Buffer.byteLength(cgroupsPath) > CGROUP_PATH_MAX_BYTES) refuse(`is longer than ${CGROUP_PATH_MAX_BYTES} bytes`);
  const components = (cgroupsPath.startsWith("/") ? cgroupsPath.slice(1) : cgroupsPath).split("/");
  for (const component of components) {
    if (component === "") refuse("has an empty component");
    if (component === "." || component === "..") refuse(`has a component "${component}"`);
    if (/[\0\n]/.test(component)) refuse("has a NUL or a newline");
    if (Buffer.byteLength(component) > NAME_MAX_BYTES) refuse(`has a component longer than ${NAME_MAX_BYTES} bytes`);
  }
  return components;
}

/**
 * The absolute `cgroupsPath` of a container, from the top of each hierarchy, for what its config says:
 *
 * - absolute: from the top of each hierarchy as mounted; "//", "." and ".." are resolved, so that none leads above it;
 * - relative, or absent (then the container's id): on a v2 host beside the caller's own cgroup, which itself holds the caller and
 *   so can have no limited children; on v1 and hybrid hosts from the top, as with crun. runc starts at the caller's cgroup there,
 *   which is another one in each hierarchy.
 *
 * Source: runtime-spec config-linux.md#cgroups-path; what runc 1.1 and crun 1.21 do. For the systemd driver see `parseScopePath`.
 */
export function effectiveCgroupsPath(host: CgroupHost, cgroupsPath: string | undefined, id: string): string {
  const asked = cgroupsPath === undefined || cgroupsPath === "" ? id : cgroupsPath;
  const base = asked.startsWith("/") || host.mode !== "unified" ? "" : parentOf(host.v2?.ownPath ?? "/");
  return `${base}${posix.normalize(`/${asked}`).replace(/(?!^)\/$/, "")}`;
}

/** The path of the cgroup above, or "" for a cgroup at the top or one that our cgroup namespace does not show ("/.."). */
function parentOf(path: string): string {
  return path.split("/").includes("..") ? "" : posix.dirname(path).replace(/^\/$/, "");
}
