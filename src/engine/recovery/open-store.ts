/** Opens the database, compares it with what is on disk, and takes lost rows back from copies. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, isDiskFull, LighterError, messageOf } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import { log } from "../../base/log.ts";
import { formatNow } from "../../base/time.ts";
import type { EnginePaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { Store } from "../state/store.ts";
import type { CopiedObjects } from "./copies.ts";

const RECOVER_HINT =
  "`lighter daemon --recover` takes back what it can from the copies that are kept beside containers and images";

/** Directories without a row, by name: ids, volumes, beginnings of ids. */
interface Lost {
  containers: string[];
  volumes: string[];
  runDirectories: string[];
}

/**
 * Opens the store. The directories of containers, volumes and runs are made after their rows and removed before: one without a
 * row means that rows have been lost. After a power cut these are those of the last moment, which are taken back and told of; a
 * database that is lost or damaged otherwise is used only if somebody says so.
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

/** Tells whether an error means damage, found by SQLite or in the JSON of a row. */
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
  const { id, networks, volumes } = readObjects(paths.objects);
  if (id !== undefined && store.setting("id") === undefined) store.setSetting("id", id);
  const known = new Set(store.networks.all().map((network) => network.id));
  for (const network of networks)
    if (!known.has(network.id)) attempt(`network ${network.name}`, () => store.networks.insert(network));
  const copies = new Map(volumes.map((volume) => [volume.name, volume]));
  for (const name of lost.volumes) {
    const copy = copies.get(name);
    const isTaken = copy !== undefined && attempt(`volume ${name}`, () => store.volumes.insert(copy));
    if (!isTaken) store.volumes.insert({ name, createdAt: formatNow(), labels: null, options: null });
  }
  for (const id of lost.containers) {
    const record = readCopy(paths.container(id).copy);
    if (!isRecord(record, id) || !takeBackContainer(store, record)) setAside(paths, id);
  }
}

function readObjects(path: string): { id?: string } & Pick<CopiedObjects, "networks" | "volumes"> {
  const copy = readCopy(path) as Partial<CopiedObjects> | null | undefined;
  const those = <T extends object>(list: readonly T[] | undefined, key: keyof T): T[] =>
    Array.isArray(list) ? list.filter((each) => typeof each?.[key] === "string") : [];
  return {
    ...(typeof copy?.id === "string" ? { id: copy.id } : {}),
    networks: those(copy?.networks, "id").filter(
      ({ name, driver, pools, options }) =>
        [name, driver].every((text) => typeof text === "string") && Array.isArray(pools) && Boolean(options),
    ),
    volumes: those(copy?.volumes, "name"),
  };
}

/** Tells whether a copy is a record, and not what a failing disk has left of it. */
function isRecord(copy: unknown, id: string): copy is ContainerRecord {
  const has = (type: string, ...names: (keyof ContainerRecord)[]) =>
    names.every((name) => typeof (copy as ContainerRecord)[name] === type && (copy as ContainerRecord)[name] !== null);
  if (typeof copy !== "object" || copy === null) return false;
  const { status, mountPoints, networking, ...record } = copy as ContainerRecord;
  return (
    record.id === id &&
    ["created", "running", "exited"].includes(status) &&
    has("string", "name", "createdAt", "image", "imageId", "error", "startedAt", "finishedAt") &&
    has("number", "pid", "exitCode", "restartCount") &&
    has("object", "config", "hostConfig", "networking") &&
    Array.isArray(mountPoints) &&
    Array.isArray(networking.endpoints) &&
    Array.isArray(networking.ports)
  );
}

/** Takes back a container; false: it has something in it that the database does not take. */
function takeBackContainer(store: Store, record: ContainerRecord): boolean {
  const { id } = record;
  const isTaken = store.all().some(({ name }) => name === record.name);
  const name = isTaken ? `${record.name}_${shortId(id)}` : record.name;
  const isTakenBack = attempt(`container ${id}`, () => {
    store.insert({ ...record, name, idMappings: record.idMappings ?? null });
  });
  if (isTakenBack) log.warn(`container ${id} (${name}) is known again, by the copy beside its files`);
  else store.delete(id);
  return isTakenBack;
}

/** Tries a write; false: the database does not take what the copy says. */
function attempt(what: string, write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (isDiskFull(error)) throw error;
    log.error(`take ${what} back: ${messageOf(error)}`);
    return false;
  }
}

function setAside(paths: EnginePaths, id: string): void {
  const directory = join(paths.dataRoot, "lost");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  renameSync(paths.container(id).directory, join(directory, id));
  log.error(`container ${id} is lost: there is no copy of what it was; its files are in "${join(directory, id)}"`);
}

/** Reads a copy; undefined if there is none that can be read. */
function readCopy(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
