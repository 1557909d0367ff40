/** What the user's config.json says where no flag does. */
import type { DockerConfig, FormatKey } from "./docker-config.ts";

/** Undefined without a file. */
async function configured<T>(pick: (config: DockerConfig) => T): Promise<T | undefined> {
  const { DOCKER_CONFIG, HOME } = process.env;
  // Most users have no such file: looking costs less than loading what reads it.
  if (!(await Bun.file(`${DOCKER_CONFIG || `${HOME ?? ""}/.docker`}/config.json`).exists())) return undefined;
  const { openDockerConfig } = await import("./docker-config.ts");
  return pick(await openDockerConfig());
}

/** `format`, the user's, or what lists are shown with; "" for neither. */
export async function configuredFormat(format: string, key: FormatKey): Promise<string> {
  return format || ((await configured(({ formats }) => formats[key])) ?? "");
}

/** `keys`, the user's, or others than Docker's; "" for neither. */
export async function configuredDetachKeys(keys: string): Promise<string> {
  return keys || ((await configured(({ detachKeys }) => detachKeys)) ?? "");
}

/** The user's filters, and those of every prune that do not say the opposite of one of the user's. */
export async function withPruneFilters(given: readonly string[]): Promise<string[]> {
  const further = (await configured(({ pruneFilters }) => pruneFilters)) ?? [];
  return [...given, ...further.filter((text) => text.includes("=") && !given.includes(oppositeOf(text)))];
}

function oppositeOf(filter: string): string {
  return filter.startsWith("label!=") ? filter.replace("!=", "=") : filter.replace(/^label=/, "label!=");
}
