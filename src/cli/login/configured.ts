/** Settings in the user's config.json that apply where no flag is given. */
import type { DockerConfig, FormatKey } from "./docker-config.ts";

/** Returns the setting, or undefined if there is no file. */
async function configured<T>(pick: (config: DockerConfig) => T): Promise<T | undefined> {
  const { DOCKER_CONFIG, HOME } = process.env;
  // Most users have no such file, and testing for it costs less than loading the code that reads it.
  if (!(await Bun.file(`${DOCKER_CONFIG || `${HOME ?? ""}/.docker`}/config.json`).exists())) return undefined;
  const { openDockerConfig } = await import("./docker-config.ts");
  return pick(await openDockerConfig());
}

/** Returns `format`, else the user's format for such lists; "" for neither. */
export async function configuredFormat(format: string, key: FormatKey): Promise<string> {
  return format || ((await configured(({ formats }) => formats[key])) ?? "");
}

/** Returns `keys`, else the user's detach keys; "" for neither. */
export async function configuredDetachKeys(keys: string): Promise<string> {
  return keys || ((await configured(({ detachKeys }) => detachKeys)) ?? "");
}

/** Returns the given filters and those of the user's config, without any that contradicts a given one. */
export async function withPruneFilters(given: readonly string[]): Promise<string[]> {
  const further = (await configured(({ pruneFilters }) => pruneFilters)) ?? [];
  return [...given, ...further.filter((text) => text.includes("=") && !given.includes(oppositeOf(text)))];
}

function oppositeOf(filter: string): string {
  return filter.startsWith("label!=") ? filter.replace("!=", "=") : filter.replace(/^label=/, "label!=");
}
