/** All volumes of a daemon: rows and directories. */
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { formatNow } from "../../base/time.ts";
import { writePoint } from "../../base/write-point.ts";
import { type FileWorkers, Trash } from "../../files/mod.ts";
import { checkVolumeName, parseVolumeOptions, type VolumeOptions } from "../../volume/mod.ts";
import type { MountPoint } from "../config/mod.ts";
import type { EventBus } from "../events.ts";
import type { VolumeRecord, VolumeTable } from "./volume-table.ts";

/** The label of volumes that nobody named. Its value is empty; `prune` goes by it. */
export const ANONYMOUS_LABEL = "com.docker.volume.anonymous";
const DRIVER = { driver: "local" };
/**
 * The directory for removed files, below the volumes' directory, where no volume can be: their names begin with a letter or
 * digit.
 */
const REMOVED_DIRECTORY = ".removed";

interface NewVolume {
  /** The name; if empty, one is chosen that nobody has. */
  name?: string | undefined;
  driver?: string | undefined;
  options?: VolumeOptions | null | undefined;
  labels?: Readonly<Record<string, string>> | null | undefined;
}

interface VolumesOptions {
  table: VolumeTable;
  /** The directory that has one directory for each volume. */
  directory: string;
  events: EventBus;
  /** The workers that delete files. */
  workers: FileWorkers;
  /** Called when the name is free. */
  onRemoved(name: string): void;
  /** Returns the ids of the containers that have the volume. */
  usersOf(name: string): string[];
}

/**
 * All volumes. Memory is a cache of the table. The order of writes, and what a crash in between leaves:
 *
 *   create   row (with its container's), directory     a row without a directory: `open` makes it
 *   remove   row "removing", directory moved away,     a row "removing": `open` goes on
 *            row deleted, files deleted                files in the trash, which the next one deletes
 *
 * Nothing is mounted here: for what a volume's options ask for, see mounted-volumes.ts.
 */
export class Volumes {
  readonly #options: VolumesOptions;
  readonly #records = new Map<string, VolumeRecord>();
  readonly trash: Trash;

  constructor(options: VolumesOptions) {
    this.#options = options;
    makeDirectory(options.directory, 0o711);
    this.trash = new Trash(join(options.directory, REMOVED_DIRECTORY), options.workers);
  }

  /** Opens the volumes. `named`: volumes that containers have, also those of an older Lighter, which have no row. */
  open(named: Iterable<MountPoint>): void {
    for (const { record, removing } of this.#options.table.all()) {
      if (removing) this.#finishRemoval(record.name);
      else this.#records.set(record.name, record);
    }
    for (const { volume } of named)
      if (volume !== undefined && !this.#records.has(volume.name))
        this.#insert({
          name: volume.name,
          createdAt: now(),
          labels: volume.anonymous ? { [ANONYMOUS_LABEL]: "" } : null,
          options: null,
        });
    for (const name of this.#records.keys()) this.#makeDirectories(name);
  }

  /** Returns all volumes, oldest first. */
  list(): VolumeRecord[] {
    return [...this.#records.values()];
  }

  /** Finds a volume. @throws LighterError "not-found" */
  get(name: string): VolumeRecord {
    const found = this.#records.get(name);
    if (found === undefined) throw new LighterError("not-found", `get ${name}: no such volume`);
    return found;
  }

  /** Returns the path of the volume's own files. */
  pathOf(name: string): string {
    return join(this.#options.directory, name, "_data");
  }

  usersOf(name: string): string[] {
    return this.#options.usersOf(name);
  }

  /** Creates a volume. One that exists is taken as it is, as with Docker. @throws LighterError */
  create(volume: NewVolume): VolumeRecord {
    const { record, isNew } = this.#findOrInsert(volume);
    if (isNew) this.#inserted(record);
    return record;
  }

  #findOrInsert({ name = "", driver = "", options = null, labels = null }: NewVolume): {
    record: VolumeRecord;
    isNew: boolean;
  } {
    if (driver !== "" && driver !== DRIVER.driver) throw noSuchPlugin(name, driver);
    const existing = this.#records.get(name);
    if (existing !== undefined) return { record: existing, isNew: false };
    if (name !== "") checkVolumeName(name);
    const record: VolumeRecord = {
      name: name || randomId(),
      createdAt: now(),
      labels: name === "" ? { ...labels, [ANONYMOUS_LABEL]: "" } : labels,
      options: options !== null && Object.keys(options).length > 0 ? options : null,
    };
    parseVolumeOptions(record.name, options ?? {});
    this.#insert(record);
    return { record, isNew: true };
  }

  /** Makes the directory and tells of the volume, once its row is written. */
  #inserted({ name }: VolumeRecord): void {
    this.#makeDirectories(name);
    this.#options.events.publish("volume", "create", name, DRIVER);
  }

  #insert(record: VolumeRecord): void {
    this.#options.table.insert(record);
    this.#records.set(record.name, record);
  }

  #makeDirectories(name: string): void {
    makeDirectory(join(this.#options.directory, name), 0o711);
    makeDirectory(this.pathOf(name), undefined);
  }

  /**
   * Gives a new container the volumes of its mount points and makes the missing ones, in one transaction with what `insert`
   * writes: a volume that nobody asked for by itself is never left over. Returns the mount points with their volumes.
   * @throws LighterError
   */
  claim(points: readonly MountPoint[], insert: (claimed: MountPoint[]) => void): MountPoint[] {
    let claimed: MountPoint[] = [];
    const made: VolumeRecord[] = [];
    const claimOne = (point: MountPoint): MountPoint => {
      if (point.volume === undefined) return point;
      const { created = {}, ...volume } = point.volume;
      const labels = volume.anonymous ? { ...created.labels, [ANONYMOUS_LABEL]: "" } : created.labels;
      const { record, isNew } = this.#findOrInsert({ name: volume.name, ...created, labels });
      if (isNew) made.push(record);
      return { ...point, volume: { ...volume, ...(record.options === null ? {} : { options: record.options }) } };
    };
    try {
      this.#options.table.together(() => {
        claimed = points.map(claimOne);
        insert(claimed);
      });
    } catch (error) {
      for (const { name } of made) this.#records.delete(name);
      throw error;
    }
    for (const record of made) this.#inserted(record);
    return claimed;
  }

  /**
   * Removes a volume: its name is free, and its files are in the trash.
   * @throws LighterError "not-found", unless by force; "conflict" while a container has it
   */
  remove(name: string, force: boolean): void {
    if (force && !this.#records.has(name)) return;
    this.get(name);
    const users = this.usersOf(name);
    if (users.length > 0)
      throw new LighterError("conflict", `remove ${name}: volume is in use - [${users.join(", ")}]`);
    this.#records.delete(name);
    this.#options.onRemoved(name);
    this.#options.table.setRemoving(name);
    this.#finishRemoval(name);
    this.#options.events.publish("volume", "destroy", name, DRIVER);
  }

  /** Removes the volumes of a removed container that nobody named, unless another container has them. */
  removeAnonymous(points: readonly MountPoint[]): void {
    for (const { volume } of points)
      if (volume?.anonymous && this.#records.has(volume.name) && this.usersOf(volume.name).length === 0)
        this.remove(volume.name, true);
  }

  /** Moves the files out of the way, so that the name is free at once. */
  #finishRemoval(name: string): void {
    this.trash.move(join(this.#options.directory, name));
    writePoint("moved volume");
    this.#options.table.delete(name);
  }
}

/** Returns the time in whole seconds, as Docker has it. */
function now(): string {
  return formatNow().replace(/\.\d+Z$/, "Z");
}

function noSuchPlugin(name: string, driver: string): LighterError {
  const what = `error looking up volume plugin ${driver}: plugin ${JSON.stringify(driver)} not found`;
  return new LighterError("not-found", `create ${name}: ${what}`);
}

/** Makes a directory. With `mode` undefined it keeps its mode, which its user may have changed. */
function makeDirectory(path: string, mode: number | undefined): void {
  mkdirSync(path, { recursive: true, mode: mode ?? 0o755 });
  if (mode !== undefined) chmodSync(path, mode);
}
