/** Which containers may divide their cgroups: machines, privileged ones, and those with `--security-opt writable-cgroups=true`. */
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid, notSupported } from "./errors.ts";
import type { HostFacts } from "./host.ts";
import { parseCgroupnsMode } from "./namespaces.ts";
import { isMachine } from "./runtimes.ts";
import { parseSecurityOptions } from "./security.ts";
import { parseUsernsMode } from "./userns-mode.ts";

const FIELD = "HostConfig.SecurityOpt writable-cgroups";

/** Tells whether the container's cgroups are mounted such that they can be written. */
export function hasWritableCgroups({ SecurityOpt, Privileged }: DockerHostConfig): boolean {
  return parseSecurityOptions(SecurityOpt ?? []).writableCgroups ?? Privileged ?? false;
}

/**
 * Tells whether the container's processes are to be in a cgroup below that with its limits: it divides its cgroup with the rights
 * of the host's root, which may write to the files of limits in there.
 */
export function needsLimitsAbove(hostConfig: DockerHostConfig, isMapped: boolean): boolean {
  return hasWritableCgroups(hostConfig) && !hostConfig.Privileged && !isMapped && !isMachine(hostConfig);
}

/** Checks that a container's limits hold although it may write to its cgroups. @throws LighterError "invalid" or "not-supported" */
export function checkWritableCgroups(hostConfig: DockerHostConfig, { cgroup }: Pick<HostFacts, "cgroup">): void {
  const { writableCgroups } = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  if (writableCgroups === undefined) return;
  if (isMachine(hostConfig)) {
    if (!writableCgroups) throw invalid(`${FIELD}=false: a machine divides its cgroup itself`);
    return;
  }
  if (!writableCgroups || hostConfig.Privileged) return;
  if (parseCgroupnsMode(hostConfig.CgroupnsMode) === "host")
    throw invalid(`${FIELD}: the container needs a cgroup namespace of its own (--cgroupns private)`);
  if (cgroup.mode !== "unified" && parseUsernsMode(hostConfig.UsernsMode).kind !== "auto")
    throw notSupported(
      FIELD,
      "on cgroup v1 its root could raise the container's limits, without a user namespace (--userns auto)",
    );
}
