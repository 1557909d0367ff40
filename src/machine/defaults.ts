/** The defaults of machines. */
import { LighterError } from "../base/errors.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../spec/docker-api.ts";
import { parseBootPlace } from "./boot.ts";
import { ENGINE_DIRECTORIES, parseNesting } from "./nesting.ts";

/** The path of an init, whichever it is: the kernel's first choice, too. */
const INIT = "/sbin/init";

/**
 * Fills in what a machine has unless the create request, merged with the image's settings, says otherwise.
 * @param mayMap whether containers can have ids of their own
 * @throws LighterError "invalid" if its init is not to be process 1, or a label says nothing
 */
export function machineDefaults(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  mayMap: boolean,
): { config: DockerContainerConfig; hostConfig: DockerHostConfig; warnings: string[] } {
  if (hostConfig.PidMode && hostConfig.PidMode !== "private")
    throw new LighterError(
      "invalid",
      `HostConfig.PidMode: a machine has processes of its own, not "${hostConfig.PidMode}"`,
    );
  parseBootPlace(config.Labels ?? {});
  const engines = parseNesting(config.Labels ?? {}) ? ENGINE_DIRECTORIES.map((path) => [path, {}]) : [];
  const Volumes = { ...Object.fromEntries(engines), ...config.Volumes };
  const hasCommand = (config.Entrypoint ?? []).length + (config.Cmd ?? []).length > 0;
  const UsernsMode = hostConfig.UsernsMode || (hostConfig.Privileged || !mayMap ? "host" : "auto");
  return {
    config: {
      ...config,
      ...(hasCommand ? {} : { Cmd: [INIT] }),
      ...(engines.length > 0 ? { Volumes } : {}),
    },
    // Its own init is process 1, and divides a cgroup that it takes for the top.
    hostConfig: { ...hostConfig, UsernsMode, Init: false, CgroupnsMode: "private" },
    warnings:
      UsernsMode === "host"
        ? ["The machine has no user namespace of its own: who breaks out of it is root on this host."]
        : [],
  };
}
