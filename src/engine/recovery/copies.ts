/** Keeps copies of the database's rows beside what they describe: for a daemon that finds the database lost or damaged. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { isDiskFull, messageOf } from "../../base/errors.ts";
import { COPIES_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import type { Engine } from "../engine.ts";
import type { EngineEvent } from "../events.ts";
import type { NetworkRecord } from "../networks/types.ts";
import type { VolumeRecord } from "../volumes/volume-table.ts";

/** The rows that have no directory of their own: in the data root's `objects.json`. */
export interface CopiedObjects {
  id: string;
  networks: readonly NetworkRecord[];
  volumes: readonly VolumeRecord[];
}

/** The actions that change a container's record. */
const CHANGES = new Set(["create", "start", "die", "rename", "update", "connect", "disconnect"]);

/** The number of containers that are written before others have their turn. */
const TURN_COUNT = 20;

/**
 * The writer of copies. It writes a moment after a change, all changes of that moment as one: no start waits for it, and a
 * container that is gone by then has none.
 */
export class Copies implements Disposable {
  readonly #engine: Engine;
  readonly #listening: Disposable;
  readonly #changed = new Set<string>();
  #objectsChanged = true;
  #timer: NodeJS.Timeout | undefined;
  #isDisposed = false;

  /** Starts the copies; containers that have none so far get one, too. */
  constructor(engine: Engine) {
    this.#engine = engine;
    this.#listening = engine.events.listen((event) => this.#onEvent(event));
    for (const { id } of engine.list()) if (!existsSync(engine.paths.container(id).copy)) this.#changed.add(id);
    this.#writeLater();
  }

  #onEvent({ type, action, id, attributes }: EngineEvent): void {
    if (!CHANGES.has(action) && action !== "destroy") return;
    if (type === "container") this.#changed.add(id);
    else if (attributes.container !== undefined) this.#changed.add(attributes.container);
    else this.#objectsChanged = true;
    this.#writeLater();
  }

  #writeLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch((error: unknown) => {
        if (!isDiskFull(error)) log.error(`keep copies of the database's rows: ${messageOf(error)}`);
      });
    }, COPIES_MS).unref();
  }

  async #write(): Promise<void> {
    const ids = [...this.#changed];
    this.#changed.clear();
    if (this.#objectsChanged) this.#writeObjects();
    for (const [index, id] of ids.entries()) {
      if (index % TURN_COUNT === TURN_COUNT - 1) await setImmediate();
      if (this.#isDisposed) return;
      this.#writeContainer(id);
    }
  }

  #writeObjects(): void {
    const { id, networks, volumes, paths } = this.#engine;
    this.#objectsChanged = false;
    replaceFile(paths.objects, { id, networks: networks.list(), volumes: volumes.list() } satisfies CopiedObjects);
  }

  /** Writes a container's copy. A container that is being removed has no directory any more, and must not get one. */
  #writeContainer(id: string): void {
    const container = this.#engine.findIf(id);
    if (container === undefined) return;
    const { directory, copy } = this.#engine.paths.container(container.id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    replaceFile(copy, container.record);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#listening[Symbol.dispose]();
    clearTimeout(this.#timer);
  }
}

function replaceFile(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 }); // environments hold secrets
  renameSync(`${path}.new`, path);
}
