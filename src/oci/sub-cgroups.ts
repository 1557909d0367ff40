/** `exec --cgroup [CONTROLLERS:]PATH`: places a process in cgroups below the container's own. */
import { existsSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import type { CgroupHost } from "../linux/cgroup/mod.ts";
import type { ExecRequest } from "../runtime/mod.ts";
import { UsageError } from "./flags.ts";

/**
 * The process's cgroup in each hierarchy; a path without controllers applies to all. "/" is the container's cgroup itself.
 * @param flags At least one.
 * @throws LighterError, in runc's words, for a path that leads out of the container's cgroup or does not exist, or an unknown
 * controller
 */
export function subCgroups(
  host: CgroupHost,
  cgroupsPath: string,
  flags: readonly string[],
): ExecRequest["cgroup"] & object {
  const paths = parsePaths(flags);
  const namesOf = ({ controllers, name }: CgroupHost["v1"][number]) => [
    ...controllers,
    ...(name ? [`name=${name}`] : []),
  ];
  const known = new Set(["", ...host.v1.flatMap(namesOf)]);
  for (const controller of paths.keys())
    if (!known.has(controller)) throw new LighterError("invalid", `unknown controller ${controller} in --cgroup`);
  const directory = (mountPoint: string, names: readonly string[]) => {
    const path = names.map((name) => paths.get(name)).find((each) => each !== undefined) ?? paths.get("") ?? "/";
    const found = posix.join(mountPoint, cgroupsPath, path).replace(/\/$/, "");
    if (existsSync(found)) return found;
    throw new LighterError(
      "not-found",
      `adding pid of the process to ${found}/cgroup.procs: no such file or directory`,
    );
  };
  return {
    tasksFiles: host.v1.map((hierarchy) => `${directory(hierarchy.mountPoint, namesOf(hierarchy))}/tasks`),
    ...(host.v2 ? { v2Directory: directory(host.v2.mountPoint, []) } : {}),
  };
}

/** The paths by controller; "" stands for all. */
function parsePaths(flags: readonly string[]): Map<string, string> {
  const paths = new Map<string, string>();
  for (const flag of flags) {
    const at = flag.indexOf(":");
    if (at === -1 && flags.length > 1)
      throw new UsageError(`invalid --cgroup argument: ${flag} (missing <controller>: prefix)`);
    const path = posix.normalize(flag.slice(at + 1));
    if (path.split("/").includes("..")) throw new LighterError("invalid", `${path} is not a sub cgroup path`);
    for (const controller of at === -1 ? [""] : flag.slice(0, at).split(",")) {
      if (at !== -1 && controller === "")
        throw new UsageError(`invalid --cgroup argument: ${flag} (empty <controller> prefix)`);
      if (paths.has(controller))
        throw new UsageError(`invalid --cgroup argument(s): controller ${controller} specified multiple times`);
      paths.set(controller, path);
    }
  }
  return paths;
}
