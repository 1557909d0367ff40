/** Keeps what a machine is given that `inspect` does not show, in a file of its own: neither the row nor an event has it. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { type MachineSecrets, secretsNamedBy, takeSecrets } from "../../machine/mod.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { isMachine } from "../config/mod.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";

/** Takes the secrets out of a create request. @throws LighterError "invalid" for malformed ones, and for those of no machine */
export function withoutMachineSecrets(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
): { config: DockerContainerConfig; secrets: MachineSecrets | undefined } {
  if (!secretsNamedBy(config.Labels ?? {}).any) return { config, secrets: undefined };
  if (!isMachine(hostConfig))
    throw new LighterError(
      "invalid",
      "only machines take credentials and cloud-init data (HostConfig.Runtime: machine)",
    );
  const { labels, secrets } = takeSecrets(config.Labels ?? {});
  return { config: { ...config, Labels: labels }, secrets };
}

/** Writes the file, which lasts as long as the container. Only root may read it. */
export function writeSecrets({ directory, secrets: path }: ContainerPaths, secrets: MachineSecrets): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const fd = openSync(`${path}.new`, "w", 0o600);
  try {
    writeFileSync(fd, JSON.stringify(secrets));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
  syncDirectory(directory);
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Reads the file of a machine whose labels say that it has one. @throws LighterError "internal" if it is gone */
export function readSecrets(
  { config, hostConfig }: ContainerRecord,
  paths: ContainerPaths,
): MachineSecrets | undefined {
  if (!isMachine(hostConfig) || !secretsNamedBy(config.Labels ?? {}).any) return undefined;
  try {
    return JSON.parse(readFileSync(paths.secrets, "utf8"));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    throw new LighterError("internal", `${paths.secrets}, with this machine's credentials, is gone`, {
      hint: "create the machine anew",
      cause: error,
    });
  }
}
