/** Which limits a container sees in /proc and /sys. */
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { VIEW_LABEL } from "../../spec/machine-labels.ts";
import { invalid } from "./errors.ts";
import { isMachine } from "./runtimes.ts";

/** Tells whether a container sees its own limits instead of the host's. @throws LighterError "invalid" */
export function seesOwnLimits(config: DockerContainerConfig, hostConfig: DockerHostConfig): boolean {
  const view = config.Labels?.[VIEW_LABEL] ?? (isMachine(hostConfig) ? "own" : "host");
  if (view !== "own" && view !== "host") throw invalid(`label "${VIEW_LABEL}": must be "own" or "host", not "${view}"`);
  return view === "own";
}
