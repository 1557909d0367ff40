/** Reads the configuration of a network that plugins make. Source: containernetworking/cni SPEC.md 1.1.0, "Section 1". */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { CNI_CONFIG_MAX_BYTES } from "../../base/limits.ts";

type Json = Readonly<Record<string, unknown>>;

/** One plugin's part, as it is in the file; the plugin alone knows what most of it means. */
export interface PluginConfig extends Json {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
}

export interface NetworkConfig {
  readonly name: string;
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  /** In the order of ADD. */
  readonly plugins: readonly PluginConfig[];
}

/** The versions of the specification whose results are read here. */
const VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/**
 * Loads the first configuration of the directory, in the order of the files' names, as other runtimes do; undefined if there is
 * none.
 * @throws LighterError "invalid", naming the file
 */
export function loadConfig(directory: string): NetworkConfig | undefined {
  const [name] = namesIn(directory);
  if (name === undefined) return undefined;
  const path = join(directory, name);
  try {
    const { size } = statSync(path);
    if (size > CNI_CONFIG_MAX_BYTES) throw invalid(`it has more than ${CNI_CONFIG_MAX_BYTES} bytes`);
    const document: unknown = JSON.parse(readFileSync(path, "utf8"));
    return parseConfig(name.endsWith(".conflist") ? document : { ...asObject(document), plugins: [document] });
  } catch (error) {
    throw invalid(`network configuration "${path}": ${messageOf(error)}`);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(conflist|conf|json)$/.test(name))
      .sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Parses a list of plugins. @throws LighterError "invalid" */
export function parseConfig(document: unknown): NetworkConfig {
  const { name, cniVersion = "0.3.0", plugins, disableCheck, disableGC } = asObject(document);
  if (typeof name !== "string" || !/^[a-zA-Z0-9][\w.-]*$/.test(name)) throw invalid("it has no valid name");
  if (typeof cniVersion !== "string" || !VERSIONS.includes(cniVersion))
    throw invalid(`version ${JSON.stringify(cniVersion)} is none of ${VERSIONS.join(", ")}`);
  if (!Array.isArray(plugins) || plugins.length === 0) throw invalid("it has no plugins");
  return {
    ...{ name, cniVersion, plugins: plugins.map(parsePlugin) },
    ...{ disableCheck: disableCheck === true, disableGC: disableGC === true },
  };
}

function parsePlugin(plugin: unknown): PluginConfig {
  const object = asObject(plugin);
  const { type } = object;
  // It is the name of a program in our directories, and nowhere else.
  if (typeof type !== "string" || !/^[\w.-]+$/.test(type) || /^\.+$/.test(type)) throw invalid("a plugin has no type");
  return object as PluginConfig;
}

function asObject(value: unknown): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("it is no JSON object");
  return value as Json;
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}
