/** Networks that plugins make: the Container Network Interface. Source: containernetworking/cni SPEC.md 1.1.0. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { isIpAddress } from "../../base/ip-address.ts";
import { log } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import { writePoint } from "../../base/write-point.ts";
import { closeNetworkNamespace, openNetworkNamespace } from "../../linux/sys/network-namespace.ts";
import { loadConfig, type NetworkConfig, parseConfig } from "./config.ts";
import { endNotedProgram, noteProgram } from "./left-program.ts";
import { type Attachment, type Command, findPlugin, PluginError, runPlugin } from "./plugin.ts";

/** The error of a plugin that cannot take part any more. */
const [NOT_AVAILABLE, LIMITED] = [50, 51];

export interface CniOptions {
  configDirectory: string;
  binDirectories: readonly string[];
  /** Where is kept what was made for whom, and by which configuration. */
  cacheDirectory: string;
}

/** How many are detached at a time that a dead daemon has left. */
const REMOVALS_AT_ONCE = 8;

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
 *   namespace    held open from ADD to DEL, so that plugins find in it what they have made, also if the container has died
 *   turn         the time in which one thing is done about an attachment, and GC about none: the plugins rely on that
 *
 * The file has the configuration, too: an attachment is taken down by what made it, whatever the directory has by then.
 */
export class Cni {
  readonly #options: CniOptions;
  /** The end of the last turn about each container. */
  readonly #turns = new Map<string, Promise<void>>();
  #collecting = Promise.resolve();
  readonly #adding = new Map<string, AbortController>();
  readonly #namespaces = new Map<string, number>();
  #asked: Promise<string | undefined> | undefined;

  constructor(options: CniOptions) {
    this.#options = options;
  }

  /** Why nothing can be attached at present; undefined if it can. */
  problem(): Promise<string | undefined> {
    this.#asked ??= this.#ask().finally(() => (this.#asked = undefined));
    return this.#asked;
  }

  async #ask(): Promise<string | undefined> {
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

  /**
   * Attaches a container. Resolves with its addresses, without lengths of prefixes. A failure leaves nothing. `signal` ends it, and
   * so does a removal. @throws LighterError
   */
  async add(attachment: Attachment, signal: AbortSignal): Promise<string[]> {
    const { containerId } = attachment;
    const removal = new AbortController();
    this.#adding.set(containerId, removal);
    try {
      const ended = AbortSignal.any([signal, removal.signal]);
      return await this.#inTurn(containerId, () => this.#add(attachment, ended));
    } finally {
      this.#adding.delete(containerId);
    }
  }

  async #add(attachment: Attachment, signal: AbortSignal): Promise<string[]> {
    const { containerId } = attachment;
    signal.throwIfAborted();
    const config = loadConfig(this.#options.configDirectory);
    if (config === undefined)
      throw new LighterError(
        "unavailable",
        `no network config found in ${this.#options.configDirectory}: cni plugin not initialized`,
      );
    for (const { type } of config.plugins) findPlugin(type, this.#options.binDirectories);
    const cached: Cached = { config, attachment, result: null };
    this.#write(cached);
    this.#hold(containerId, attachment.namespacePath);
    try {
      let result: unknown;
      for (const plugin of config.plugins) {
        const further = result === undefined ? {} : { prevResult: result };
        result = await this.#run("ADD", cached, plugin, { further, signal });
        writePoint("added to network");
      }
      const addresses = addressesOf(result);
      if (addresses.length === 0)
        throw new LighterError("unavailable", `network ${JSON.stringify(config.name)} gives no address`);
      this.#write({ ...cached, result });
      return addresses;
    } catch (error) {
      await this.#remove(containerId).catch((undoError: unknown) =>
        log.error(`detach container ${containerId}: ${messageOf(undoError)}`),
      );
      throw error;
    }
  }

  /**
   * Detaches a container, by whatever made its end, as soon as nothing else is done about it. One that was not attached is none.
   * @throws LighterError, and then to be tried once more
   */
  remove(containerId: string): Promise<void> {
    this.#adding.get(containerId)?.abort(new LighterError("conflict", `container ${containerId} is being detached`));
    return this.#inTurn(containerId, () => this.#remove(containerId));
  }

  async #remove(containerId: string): Promise<void> {
    const cached = this.#read(containerId);
    if (cached === undefined) return;
    const { config, result } = cached;
    await endNotedProgram(this.#notePathOf(containerId));
    const namespaceFd = this.#namespaces.get(containerId);
    const namespacePath = namespaceFd === undefined ? undefined : `/proc/${process.pid}/fd/${namespaceFd}`;
    const known = { ...cached, attachment: { ...cached.attachment, namespacePath } };
    const further = result === null ? {} : { prevResult: result };
    for (const plugin of config.plugins.toReversed()) {
      await this.#run("DEL", known, plugin, { further });
      writePoint("removed from network");
    }
    rmSync(this.#pathOf(containerId), { force: true });
    writePoint("removed attachment");
    if (namespaceFd !== undefined) closeNetworkNamespace(namespaceFd);
    this.#namespaces.delete(containerId);
  }

  /** Holds a container's namespace until it is detached. */
  #hold(containerId: string, path: string | undefined): void {
    if (path === undefined) return;
    try {
      this.#namespaces.set(containerId, openNetworkNamespace(path));
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error; // the container has just ended
    }
  }

  /** Asks the plugins whether what they have made is still there. @throws LighterError */
  check(containerId: string): Promise<void> {
    return this.#inTurn(containerId, async () => {
      const cached = this.#read(containerId);
      if (cached === undefined) throw new LighterError("not-found", `container ${containerId} is not attached`);
      const { config, result } = cached;
      if (config.disableCheck || !isSince(config, [0, 4])) return;
      for (const plugin of config.plugins)
        await this.#run("CHECK", cached, plugin, { further: { prevResult: result } });
    });
  }

  /**
   * Takes over from a daemon that has died: removes what is left of containers that are not among `living`, which tells where the
   * others' namespaces are.
   */
  async takeOver(living: ReadonlyMap<string, string | undefined>): Promise<void> {
    const { cacheDirectory } = this.#options;
    const files = filesIn(cacheDirectory);
    for (const name of files) if (name.endsWith(".new")) rmSync(join(cacheDirectory, name)); // which were not finished
    const attached = files.filter((name) => !name.includes("."));
    for (const containerId of attached) this.#hold(containerId, living.get(containerId));
    const running = [...this.#turns.values()];
    this.#collecting = Promise.all(running)
      .then(() => this.#collect(attached, living))
      .catch((error: unknown) => log.warn(`collect garbage of the network: ${messageOf(error)}`));
    await this.#collecting;
    const turns = new Turns(REMOVALS_AT_ONCE);
    const left = attached.filter((containerId) => !living.has(containerId));
    await Promise.all(left.map((containerId) => this.#removeLeft(containerId, turns)));
  }

  async #removeLeft(containerId: string, turns: Turns): Promise<void> {
    await turns.take();
    try {
      await this.remove(containerId);
    } catch (error) {
      log.warn(`detach container ${containerId}, which is gone: ${messageOf(error)}`);
    } finally {
      turns.giveBack();
    }
  }

  /** Ends plugins that nobody waits for, and tells all who of the attached containers is there. */
  async #collect(attached: readonly string[], living: ReadonlyMap<string, unknown>): Promise<void> {
    await Promise.all(attached.map((containerId) => endNotedProgram(this.#notePathOf(containerId))));
    const config = loadConfig(this.#options.configDirectory);
    if (config === undefined || config.disableGC || !isSince(config, [1, 1])) return;
    const found = attached
      .filter((containerId) => living.has(containerId))
      .map((containerId) => this.#read(containerId));
    const valid = found.map((cached) => ({
      containerID: cached?.attachment.containerId,
      ifname: cached?.attachment.interfaceName,
    }));
    const further = { "cni.dev/valid-attachments": valid };
    for (const plugin of config.plugins)
      await runPlugin("GC", config, plugin, { ...this.#options, further }).catch((error: unknown) =>
        log.warn(`collect garbage of network "${config.name}": ${messageOf(error)}`),
      );
  }

  /** Waits until nothing else is done about the container. */
  #inTurn<T>(containerId: string, task: () => Promise<T>): Promise<T> {
    const before = Promise.all([this.#turns.get(containerId), this.#collecting]);
    const result = before.then(task);
    const ended = result.then(
      () => {},
      () => {}, // the caller gets it
    );
    this.#turns.set(containerId, ended);
    void ended.then(() => this.#turns.get(containerId) === ended && this.#turns.delete(containerId));
    return result;
  }

  /** Runs a plugin about an attachment, with a note of it: it may outlive a daemon that is killed. */
  async #run(
    command: Command,
    cached: Cached,
    plugin: NetworkConfig["plugins"][number],
    options: { further: Readonly<Record<string, unknown>>; signal?: AbortSignal },
  ): Promise<unknown> {
    const { config, attachment } = cached;
    const notePath = this.#notePathOf(attachment.containerId);
    const onStart = (pid: number) => noteProgram(notePath, pid);
    try {
      return await runPlugin(command, config, plugin, { ...this.#options, attachment, onStart, ...options });
    } finally {
      rmSync(notePath, { force: true });
    }
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

  #notePathOf(containerId: string): string {
    return `${this.#pathOf(containerId)}.plugin`;
  }

  #write(cached: Cached): void {
    const path = this.#pathOf(cached.attachment.containerId);
    mkdirSync(this.#options.cacheDirectory, { recursive: true, mode: 0o700 });
    writeFileSync(`${path}.new`, JSON.stringify(cached), { mode: 0o600, flush: true });
    writePoint("write attachment");
    renameSync(`${path}.new`, path);
    writePoint("wrote attachment");
  }
}

/** The files in a directory, which is made when it is needed. */
function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

function isSince({ cniVersion }: NetworkConfig, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = cniVersion.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/**
 * The addresses in a result, those of the container's own interfaces, IPv4 and IPv6 in the order in which they are told.
 * @throws LighterError "invalid" for what is no address
 */
function addressesOf(result: unknown): string[] {
  const { ips, interfaces } = (result ?? {}) as { ips?: unknown; interfaces?: unknown };
  const links = listOf<{ sandbox?: unknown }>(interfaces);
  return listOf<{ address?: unknown; interface?: unknown }>(ips).flatMap(({ address, interface: index }) => {
    const isOutside = typeof index === "number" && links[index] !== undefined && !links[index].sandbox;
    if (isOutside) return [];
    const text = String(address).replace(/\/.*/, "");
    if (!isIpAddress(text)) throw new LighterError("invalid", `a plugin's address ${JSON.stringify(text)} is none`);
    return [text];
  });
}

/** The objects in what may be a list. */
function listOf<T extends object>(value: unknown): T[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "object" && item !== null) : [];
}
