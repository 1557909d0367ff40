/** What `docker info` warns of: limits that cannot be had here, and what a daemon in a user namespace cannot do. */
import type { HostFacts } from "../../engine/mod.ts";

/**
 * Names the limits that the cgroups here lack, in Docker's words and order. Weights of I/O are not among them: hardly any host has
 * those.
 */
function missingLimits(cgroup: HostFacts["cgroup"]): string[] {
  const isV2 = cgroup.mode === "unified";
  const throttles = isV2
    ? ["io.max (rbps)", "io.max (wbps)", "io.max (riops)", "io.max (wiops)"]
    : ["read_bps", "write_bps", "read_iops", "write_iops"].map((name) => `blkio throttle.${name}_device`);
  const missing: [string[], boolean][] = [
    [["memory limit"], cgroup.memoryLimit],
    [["swap limit"], cgroup.swapLimit],
    [["oom kill disable"], isV2 || cgroup.oomKillDisable],
    [["cpu cfs quota", "cpu cfs period"], cgroup.cpuCfs],
    [["cpu shares"], cgroup.cpuShares],
    [["cpuset"], cgroup.cpuset],
    [throttles, cgroup.blkioThrottle],
  ];
  return missing.flatMap(([names, isThere]) => (isThere ? [] : names));
}

/** Returns the warnings about the host. */
export function warningsOfHost({
  cgroup,
  rights,
  appArmor,
}: Pick<HostFacts, "cgroup" | "rights" | "appArmor">): string[] {
  const problems = [
    ...lackOfRights(rights),
    ...missingLimits(cgroup).map((what) => `No ${what} support`),
    ...(appArmor?.problem === undefined ? [] : [appArmor.problem]),
  ];
  return problems.map((problem) => `WARNING: ${problem}`);
}

/** Tells what the daemon does otherwise than as root of the host. */
function lackOfRights({ inUserNamespace, uids }: HostFacts["rights"]): string[] {
  if (!inUserNamespace) return [];
  const differences = "containers get device nodes of this host, AppArmor profiles and device filters are its business";
  return [`Running in a user namespace of ${uids} ids: ${differences}`];
}
