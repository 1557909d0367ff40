import { existsSync } from "node:fs";
import type { FormatKey } from "./docker-config.ts";

/** `format`, the user's, or what config.json says that lists are shown with; "" for neither. */
export async function configuredFormat(format: string, key: FormatKey): Promise<string> {
  const { DOCKER_CONFIG, HOME } = process.env;
  // Most users have no such file: looking costs less than loading what reads it.
  if (format !== "" || !existsSync(DOCKER_CONFIG || `${HOME ?? ""}/.docker`)) return format;
  const { openDockerConfig } = await import("./docker-config.ts");
  return (await openDockerConfig()).formats[key];
}
