/** Opens the database, compares it with what is on disk, and takes back from copies what it does not know any more. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { formatNow } from "../../base/time.ts";
import type { EnginePaths } from "../paths.ts";
import { type ContainerRecord, Store } from "../store.ts";
import type { CopiedObjects } from "./copies.ts";

export const RECOVER_HINT =
  "`lighter daemon --recover` takes back what it can from the copies that are kept beside containers and images";

/** What no row tells of. Names of directories: ids, volumes, beginnings of ids. */
interface Lost {
  containers: string[];
  volumes: string[];
  runDirectories: string[];
}

/**
 * The directories of containers, volumes and runs are made after their rows and removed before: one without a row means that rows
 * have been lost. After a power cut these are those of the last moment, which are taken back and told of; a database that is lost or
 * damaged otherwise is not gone on with unless somebody says so.
 * @throws LighterError like `Store`, and "internal" if there is something to be recovered
 */
export function openStore(paths: EnginePaths, options: { makeRoom?: () => boolean; recover?: boolean }): Store {
  const { makeRoom, recover = false } = options;
  const store = openOrSetAside(paths.database, makeRoom, recover);
  try {
    const lost = findLost(paths, store);
    const { containers, volumes, runDirectories } = lost;
    const isNew = store.setting("id") === undefined;
    if (containers.length + volumes.length + runDirectories.length === 0 && !(isNew && recover)) return store;
    const wasBooted = namesIn(paths.runDirectories).length === 0;
    if (!recover && (isNew || !wasBooted)) throw isLost(paths, lost);
    takeBack(paths, store, lost);
    return store;
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

function openOrSetAside(path: string, makeRoom: (() => boolean) | undefined, recover: boolean): Store {
  try {
    const store = new Store(path, makeRoom);
    store.all();
    return store;
  } catch (error) {
    const cause = error instanceof LighterError ? error.detail.cause : error;
    if (!isDamaged(cause)) throw error;
    if (!recover)
      throw new LighterError("internal", `"${path}" is damaged: ${messageOf(cause)}`, { hint: RECOVER_HINT, cause });
    const aside = `${path}.damaged-${formatNow()}`;
    for (const suffix of ["", "-wal"]) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
    log.warn(`"${path}" is damaged, and is now "${aside}"`);
    return new Store(path, makeRoom);
  }
}

/** By SQLite, or by the JSON in it. */
function isDamaged(error: unknown): boolean {
  return error instanceof SyntaxError || /^SQLITE_(CORRUPT|NOTADB)/.test(errnoOf(error));
}

function findLost(paths: EnginePaths, store: Store): Lost {
  const ids = store.all().map(({ id }) => id);
  const without = (directory: string, known: Iterable<string>) => {
    const names = new Set(known);
    return namesIn(directory).filter((name) => !names.has(name));
  };
  return {
    containers: without(paths.containers, ids),
    volumes: without(
      paths.volumes,
      store.volumes.all().map(({ record }) => record.name),
    ),
    runDirectories: without(
      paths.runDirectories,
      [...ids, ...namesIn(paths.containers)].map((id) => paths.runName(id)),
    ),
  };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !name.startsWith("."));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

function isLost({ database, dataRoot }: EnginePaths, { containers, volumes, runDirectories }: Lost): LighterError {
  const parts = [
    [containers.length, "container"],
    [volumes.length, "volume"],
    [runDirectories.length, "running container"],
  ] as const;
  const all = parts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}${count === 1 ? "" : "s"}`]));
  return new LighterError(
    "internal",
    `"${database}" does not know ${all.join(", ")} of "${dataRoot}": it, or its log, was lost`,
    { hint: RECOVER_HINT },
  );
}

function takeBack(paths: EnginePaths, store: Store, lost: Lost): void {
  const objects = readCopy<CopiedObjects>(paths.objects);
  if (objects !== undefined && store.setting("id") === undefined) store.setSetting("id", objects.id);
  const networks = new Set(store.networks.all().map(({ id }) => id));
  for (const network of objects?.networks ?? []) if (!networks.has(network.id)) store.networks.insert(network);
  const volumes = new Map(objects?.volumes.map((volume) => [volume.name, volume]));
  for (const name of lost.volumes)
    store.volumes.insert(volumes.get(name) ?? { name, createdAt: formatNow(), labels: null, options: null });
  for (const id of lost.containers) takeBackContainer(paths, store, id);
}

function takeBackContainer(paths: EnginePaths, store: Store, id: string): void {
  const { directory, copy } = paths.container(id);
  const record = readCopy<ContainerRecord>(copy);
  if (record?.id !== id) {
    const aside = join(paths.dataRoot, "lost", id);
    mkdirSync(join(paths.dataRoot, "lost"), { recursive: true, mode: 0o700 });
    renameSync(directory, aside);
    log.error(`container ${id} is lost: there is no copy of what it was; its files are in "${aside}"`);
    return;
  }
  const isTaken = store.all().some(({ name }) => name === record.name);
  const name = isTaken ? `${record.name}_${id.slice(0, 12)}` : record.name;
  store.insert({ ...record, name });
  if (record.status === "running") store.setRunning(record);
  else if (record.status === "exited") store.setExited(record);
  log.warn(`container ${id} (${name}) is known again, by the copy beside its files`);
}

/** Undefined if there is none that can be read. */
function readCopy<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
