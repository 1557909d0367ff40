/** The environment in a config. */
import type { DockerContainerConfig } from "../../spec/docker-api.ts";

export function pairsOf({ Env }: DockerContainerConfig): Map<string, string> {
  return new Map(
    (Env ?? []).map((variable) => {
      const at = variable.indexOf("=");
      return at < 0 ? [variable, ""] : [variable.slice(0, at), variable.slice(at + 1)];
    }),
  );
}
