import type { DockerContainerConfig, DockerHostConfig } from "../spec/docker-api.ts";

/** Where an init is, whichever it is: the kernel's first choice, too. */
const INIT = "/sbin/init";

/** A create request, merged with the image's settings, with what a machine has where nothing was said. */
export function machineDefaults(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
): { config: DockerContainerConfig; hostConfig: DockerHostConfig; warnings: string[] } {
  const hasCommand = (config.Entrypoint ?? []).length + (config.Cmd ?? []).length > 0;
  const UsernsMode = hostConfig.UsernsMode || (hostConfig.Privileged ? "host" : "auto");
  return {
    config: hasCommand ? config : { ...config, Cmd: [INIT] },
    // Its own init is process 1, and divides a cgroup that it takes for the top.
    hostConfig: { ...hostConfig, UsernsMode, Init: false, CgroupnsMode: "private" },
    warnings:
      UsernsMode === "host"
        ? ["The machine has no user namespace of its own: who breaks out of it is root on this host."]
        : [],
  };
}
