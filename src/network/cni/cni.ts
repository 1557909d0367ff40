/** Networks that plugins make: the Container Network Interface. Source: containernetworking/cni SPEC.md 1.1.0. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { loadConfig, type NetworkConfig, parseConfig } from "./config.ts";
import { type Attachment, type Command, findPlugin, PluginError, runPlugin } from "./plugin.ts";

/** The error of a plugin that cannot take part any more. */
const [NOT_AVAILABLE, LIMITED] = [50, 51];

export interface CniOptions {
  configDirectory: string;
  binDirectories: readonly string[];
  /** Where is kept what was made for whom, and by which configuration. */
  cacheDirectory: string;
}

interface Cached {
  config: NetworkConfig;
  attachment: Attachment;
  /** The answer of the last plugin of ADD; null if that has not ended. */
  result: unknown;
}

/**
 * The network that the first file of a directory describes.
 *
 *   attachment   a container's end in the network; a file tells of it from before its ADD until after its DEL
 *   result       what the last plugin of an ADD has answered; each later call about the attachment gets it
 *
 * The file has the configuration, too: an attachment is taken down by what made it, whatever the directory has by then.
 */
export class Cni {
  readonly #options: CniOptions;

  constructor(options: CniOptions) {
    this.#options = options;
  }

  /** Why nothing can be attached at present; undefined if it can. */
  async problem(): Promise<string | undefined> {
    try {
      const config = loadConfig(this.#options.configDirectory);
      if (config === undefined)
        return `no network config found in ${this.#options.configDirectory}: cni plugin not initialized`;
      if (isSince(config, [1, 1])) for (const plugin of config.plugins) await this.#status(config, plugin);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #status(config: NetworkConfig, plugin: NetworkConfig["plugins"][number]): Promise<void> {
    try {
      await runPlugin("STATUS", config, plugin, this.#options);
    } catch (error) {
      // One that does not know the command has nothing to say.
      if (!(error instanceof PluginError) || [NOT_AVAILABLE, LIMITED].includes(error.number)) throw error;
    }
  }

  /** Attaches a container. Resolves with its addresses, without lengths of prefixes. A failure leaves nothing. @throws LighterError */
  async add(attachment: Attachment): Promise<string[]> {
    const config = loadConfig(this.#options.configDirectory);
    if (config === undefined)
      throw new LighterError(
        "unavailable",
        `no network config found in ${this.#options.configDirectory}: cni plugin not initialized`,
      );
    for (const { type } of config.plugins) findPlugin(type, this.#options.binDirectories);
    this.#write({ config, attachment, result: null });
    try {
      let result: unknown;
      for (const plugin of config.plugins)
        result = await this.#run("ADD", config, plugin, attachment, result === undefined ? {} : { prevResult: result });
      this.#write({ config, attachment, result });
      return addressesOf(result);
    } catch (error) {
      await this.remove(attachment).catch((undoError: unknown) =>
        log.error(`detach container ${attachment.containerId}: ${messageOf(undoError)}`),
      );
      throw error;
    }
  }

  /** Detaches a container, by whatever made its end. One that was not attached is none. @throws LighterError, and then to be tried once more */
  async remove(attachment: Pick<Attachment, "containerId" | "namespacePath">): Promise<void> {
    const { containerId, namespacePath } = attachment;
    const cached = this.#read(containerId);
    if (cached === undefined) return;
    const { config, result } = cached;
    const known = { ...cached.attachment, namespacePath };
    const further = result === null ? {} : { prevResult: result };
    for (const plugin of config.plugins.toReversed()) await this.#run("DEL", config, plugin, known, further);
    rmSync(this.#pathOf(containerId), { force: true });
  }

  /** Asks the plugins whether what they have made is still there. @throws LighterError */
  async check(containerId: string): Promise<void> {
    const cached = this.#read(containerId);
    if (cached === undefined) throw new LighterError("not-found", `container ${containerId} is not attached`);
    const { config, attachment, result } = cached;
    if (config.disableCheck || !isSince(config, [0, 4])) return;
    for (const plugin of config.plugins) await this.#run("CHECK", config, plugin, attachment, { prevResult: result });
  }

  /** Removes what is left of containers that are not among `living`: of a daemon that died, or of removals that failed. */
  async collectGarbage(living: ReadonlySet<string>): Promise<void> {
    const { configDirectory, cacheDirectory } = this.#options;
    const left = namesIn(cacheDirectory).filter((name) => !living.has(name));
    for (const containerId of left)
      await this.remove({ containerId, namespacePath: undefined }).catch((error: unknown) =>
        log.warn(`detach container ${containerId}, which is gone: ${messageOf(error)}`),
      );
    const config = loadConfig(configDirectory);
    if (config === undefined || config.disableGC || !isSince(config, [1, 1])) return;
    const valid = [...living].map((containerID) => ({ containerID, ifname: "eth0" }));
    const further = { "cni.dev/valid-attachments": valid };
    for (const plugin of config.plugins)
      await runPlugin("GC", config, plugin, { ...this.#options, further }).catch((error: unknown) =>
        log.warn(`collect garbage of network "${config.name}": ${messageOf(error)}`),
      );
  }

  #run(
    command: Command,
    config: NetworkConfig,
    plugin: NetworkConfig["plugins"][number],
    attachment: Attachment,
    further: Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    return runPlugin(command, config, plugin, { ...this.#options, attachment, further });
  }

  #pathOf(containerId: string): string {
    return join(this.#options.cacheDirectory, containerId);
  }

  #read(containerId: string): Cached | undefined {
    try {
      const cached = JSON.parse(readFileSync(this.#pathOf(containerId), "utf8")) as Cached;
      return { ...cached, config: parseConfig(cached.config) };
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  #write(cached: Cached): void {
    const path = this.#pathOf(cached.attachment.containerId);
    mkdirSync(this.#options.cacheDirectory, { recursive: true, mode: 0o700 });
    writeFileSync(`${path}.new`, JSON.stringify(cached), { mode: 0o600, flush: true });
    renameSync(`${path}.new`, path);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !name.endsWith(".new"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

function isSince({ cniVersion }: NetworkConfig, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = cniVersion.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** The addresses in a result, those of the container's own interfaces, IPv4 and IPv6 in the order in which they are told. */
function addressesOf(result: unknown): string[] {
  const { ips = [], interfaces = [] } = (result ?? {}) as {
    ips?: { address?: unknown; interface?: unknown }[];
    interfaces?: { sandbox?: unknown }[];
  };
  if (!Array.isArray(ips) || !Array.isArray(interfaces)) return [];
  return ips.flatMap(({ address, interface: index }) => {
    const isOutside = typeof index === "number" && interfaces[index] !== undefined && !interfaces[index]?.sandbox;
    return typeof address === "string" && !isOutside ? [address.replace(/\/.*/, "")] : [];
  });
}
