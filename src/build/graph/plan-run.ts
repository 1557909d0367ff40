/** RUN as an operation. */
import type { DockerContainerConfig } from "../../spec/docker-api.ts";
import type { Run } from "../dockerfile/types.ts";
import { pairsOf } from "./environment.ts";
import { SHELL_OF_IMAGES } from "./history-text.ts";
import type { Network, Op } from "./llb.ts";
import { needsBuildKit } from "./refuse.ts";

/** Usable without ARG, and nothing that a cache knows. Source: Dockerfile reference, "Predefined ARGs". */
const PROXIES = new Set(["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"]);

interface RunContext {
  config: DockerContainerConfig;
  /** The stage's arguments, with their values. */
  stageArgs: ReadonlyMap<string, string>;
  buildArgs: ReadonlyMap<string, string>;
  defaultNetwork: Network;
}

export function planRun(
  { command, mounts, network, security, devices }: Run,
  { config, stageArgs, buildArgs, defaultNetwork }: RunContext,
): { op: Op; createdBy: string } {
  if (mounts.length > 0) throw needsBuildKit("RUN --mount");
  if (command.heredocs.length > 0) throw needsBuildKit("a heredoc");
  if (security === "insecure") throw needsBuildKit("RUN --security=insecure");
  if (devices.length > 0) throw needsBuildKit("RUN --device");
  const args = command.form === "exec" ? command.words : [...(config.Shell ?? SHELL_OF_IMAGES), ...command.words];
  const own = pairsOf(config);
  const pairs = (list: Iterable<[string, string]>) => [...list].map(([name, value]) => `${name}=${value}`);
  const proxies = pairs([...buildArgs].filter(([name]) => PROXIES.has(name.toLowerCase())));
  const seen = pairs([...stageArgs].filter(([name]) => !own.has(name))).sort();
  const op = {
    kind: "exec",
    args,
    env: [...proxies, ...seen, ...(config.Env ?? [])],
    cwd: config.WorkingDir || "/",
    user: config.User ?? "",
    network: network === "default" ? defaultNetwork : network,
  } as const;
  const createdBy = `${seen.length === 0 ? "" : `|${seen.length} ${seen.join(" ")} `}${args.join(" ")}`;
  return { op, createdBy };
}
