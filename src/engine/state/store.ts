/** The engine's database. */
import { Database } from "bun:sqlite";
import { chmodSync } from "node:fs";
import { isDiskFull } from "../../base/disk-full.ts";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { applyMigrations } from "../../base/migrations.ts";
import { checkpoint, writeWithRoom } from "../../base/wal.ts";
import { writePoint } from "../../base/write-point.ts";
import type { MachineEnd } from "../../machine/mod.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { planEndpoints } from "../config/endpoints.ts";
import type { MountPoint } from "../config/mounts.ts";
import type { HealthRecord } from "../health/health-state.ts";
import { NETWORK_SCHEMA, NetworkTable } from "../networks/network-table.ts";
import type { ContainerNetworking } from "../networks/types.ts";
import type { IdMappings } from "../userns/id-mappings.ts";
import { VOLUME_SCHEMA, VolumeTable } from "../volumes/volume-table.ts";
import { RowWriter } from "./row-writer.ts";

/** The status of a row. "removing": the name is free, the files are being deleted; the row goes last. */
export type ContainerStatus = "created" | "running" | "exited" | "removing";

/** A container on disk. Times are RFC 3339 or ZERO_TIME. */
export interface ContainerRecord {
  id: string;
  /** The name without Docker's leading slash. Kept in memory while removing, when the row no longer holds it. */
  name: string;
  status: ContainerStatus;
  createdAt: string;
  /** The image's name as the client wrote it. */
  image: string;
  /** The digest of the image's config. */
  imageId: string;
  config: DockerContainerConfig;
  hostConfig: DockerHostConfig;
  mountPoints: MountPoint[];
  /** The mappings of its user namespace, since its creation or its last start; null: it is in the host's. */
  idMappings: IdMappings | null;
  networking: ContainerNetworking;
  /** The pid of init on the host; 0 when not running. */
  pid: number;
  exitCode: number;
  /** The reason why the last start failed or the supervisor was lost; "" if neither. */
  error: string;
  oomKilled: boolean;
  startedAt: string;
  finishedAt: string;
  /** The number of restarts since the last start by hand. */
  restartCount: number;
  /** True if it runs and its processes stand still. */
  paused: boolean;
  /** True if somebody stopped or killed it, so that not every restart policy starts it. */
  manuallyStopped: boolean;
  /** The results of its health check; undefined without one, or before the first start. */
  health: HealthRecord | undefined;
  /** Why a machine has ended the last time; undefined if it has not, and for other containers. */
  machineEnd: MachineEnd | undefined;
  /** True if its anonymous volumes go with it. Decided when it is removed. */
  removeVolumes: boolean;
}

interface Row {
  id: string;
  name: string | null;
  status: ContainerStatus;
  created_at: string;
  image: string;
  image_id: string;
  config: string;
  host_config: string;
  mount_points: string;
  networking: string | null;
  pid: number;
  exit_code: number;
  error: string;
  oom_killed: number;
  started_at: string;
  finished_at: string;
  restart_count: number;
  remove_volumes: number;
  paused: number;
  manually_stopped: number;
  health: string | null;
  id_mappings: string | null;
  machine_end: MachineEnd | null;
}

/** The migrations, one a schema version, in order; `user_version` counts the ones applied. Append only. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE container (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     name TEXT UNIQUE,
     status TEXT NOT NULL CHECK (status IN ('created', 'running', 'exited', 'removing')),
     created_at TEXT NOT NULL,
     image TEXT NOT NULL,
     image_id TEXT NOT NULL,
     config TEXT NOT NULL,
     host_config TEXT NOT NULL,
     mount_points TEXT NOT NULL,
     pid INTEGER NOT NULL,
     exit_code INTEGER NOT NULL,
     error TEXT NOT NULL,
     oom_killed INTEGER NOT NULL,
     started_at TEXT NOT NULL,
     finished_at TEXT NOT NULL,
     restart_count INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`,
  "ALTER TABLE container ADD COLUMN remove_volumes INTEGER NOT NULL DEFAULT 0",
  `ALTER TABLE container ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE container ADD COLUMN manually_stopped INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE container ADD COLUMN health TEXT;`,
  VOLUME_SCHEMA,
  NETWORK_SCHEMA,
  "ALTER TABLE container ADD COLUMN id_mappings TEXT",
  "ALTER TABLE container ADD COLUMN networking TEXT",
  "ALTER TABLE container ADD COLUMN machine_end TEXT",
];

/**
 * The engine's database: one row a container, one a volume, one a network. Memory is a cache of it; every change goes here first.
 * WAL with synchronous=NORMAL: a killed daemon loses nothing, a power cut may lose the last moments but never tears.
 * Locked exclusively while open, which also spares the shared-memory file and its locks on every transaction.
 */
export class Store implements Disposable {
  readonly volumes: VolumeTable;
  readonly networks: NetworkTable;
  readonly #db: Database;
  readonly #rows: RowWriter;
  readonly #statements;

  /**
   * Opens the database. `makeRoom`: what can be done about a full disk; it returns false if that is nothing.
   * @throws LighterError "conflict" if another process has it open, "not-supported" if a newer Lighter wrote it.
   */
  constructor(path: string, makeRoom: () => boolean = () => false) {
    this.#db = openDatabase(path, makeRoom);
    this.#rows = new RowWriter(this.#db, makeRoom);
    this.volumes = new VolumeTable(this.#db, this.#rows);
    this.networks = new NetworkTable(this.#db, this.#rows);
    const prepare = (sql: string) => this.#db.query(sql);
    this.#statements = {
      insert: prepare(
        `INSERT INTO container (id, name, status, created_at, image, image_id, config, host_config, mount_points, networking,
           pid, exit_code, error, oom_killed, started_at, finished_at, restart_count, id_mappings)
         VALUES (?, ?, 'created', ?, ?, ?, ?, ?, ?, ?, 0, 0, '', 0, ?, ?, 0, ?)`,
      ),
      running: prepare(
        `UPDATE container SET status = 'running', pid = ?, started_at = ?, exit_code = 0, error = '', oom_killed = 0,
           restart_count = ?, manually_stopped = ?, health = ?, networking = ? WHERE id = ?`,
      ),
      startFailed: prepare("UPDATE container SET exit_code = ?, error = ?, networking = ? WHERE id = ?"),
      exited: prepare(
        `UPDATE container SET status = 'exited', pid = 0, exit_code = ?, error = ?, oom_killed = ?, started_at = ?,
           finished_at = ?, restart_count = ?, networking = ?, machine_end = ?, paused = 0 WHERE id = ?`,
      ),
      paused: prepare("UPDATE container SET paused = ? WHERE id = ?"),
      manuallyStopped: prepare("UPDATE container SET manually_stopped = 1 WHERE id = ?"),
      hostConfig: prepare("UPDATE container SET host_config = ? WHERE id = ?"),
      networking: prepare("UPDATE container SET networking = ? WHERE id = ?"),
      health: prepare("UPDATE container SET health = ? WHERE id = ?"),
      idMappings: prepare("UPDATE container SET id_mappings = ? WHERE id = ?"),
      rename: prepare("UPDATE container SET name = ? WHERE id = ?"),
      removing: prepare(
        "UPDATE container SET status = 'removing', name = NULL, pid = 0, remove_volumes = ? WHERE id = ?",
      ),
      delete: prepare("DELETE FROM container WHERE id = ?"),
      all: prepare("SELECT * FROM container ORDER BY seq"),
      getSetting: prepare("SELECT value FROM setting WHERE key = ?"),
      setSetting: prepare("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)"),
    };
  }

  /** Returns all containers, oldest first. */
  all(): ContainerRecord[] {
    return (this.#statements.all.all() as Row[]).map(recordOf);
  }

  insert(c: ContainerRecord): void {
    writePoint("insert container");
    this.#rows.run(
      this.#statements.insert,
      c.id,
      c.name,
      c.createdAt,
      c.image,
      c.imageId,
      JSON.stringify(c.config),
      JSON.stringify(c.hostConfig),
      JSON.stringify(c.mountPoints),
      JSON.stringify(c.networking),
      c.startedAt,
      c.finishedAt,
      formatOptional(c.idMappings),
    );
    writePoint("inserted container");
  }

  setRunning(c: RunningValues): void {
    writePoint("set running");
    this.#rows.run(this.#statements.running, ...runningValues(c));
    writePoint("was set running");
  }

  /** Writes that a process which an earlier daemon started still runs. */
  setRunningStill(c: RunningValues): void {
    writePoint("set running");
    this.#rows.runOrLater(this.#statements.running, ...runningValues(c));
    writePoint("was set running");
  }

  setStartFailed(c: Pick<ContainerRecord, "id" | "exitCode" | "error" | "networking">): void {
    writePoint("set start failed");
    this.#rows.runOrLater(this.#statements.startFailed, c.exitCode, c.error, JSON.stringify(c.networking), c.id);
    writePoint("was set start failed");
  }

  /** Writes an end; returns false if it is not written yet. */
  setExited(c: ContainerRecord): boolean {
    writePoint("set exited");
    const isWritten = this.#rows.runOrLater(
      this.#statements.exited,
      c.exitCode,
      c.error,
      Number(c.oomKilled),
      c.startedAt,
      c.finishedAt,
      c.restartCount,
      JSON.stringify(c.networking),
      c.machineEnd ?? null,
      c.id,
    );
    writePoint("was set exited");
    return isWritten;
  }

  setPaused(id: string, paused: boolean): void {
    writePoint("set paused");
    this.#rows.runOrLater(this.#statements.paused, Number(paused), id);
    writePoint("was set paused");
  }

  setManuallyStopped(id: string): void {
    writePoint("set manually stopped");
    this.#rows.runOrLater(this.#statements.manuallyStopped, id);
    writePoint("was set manually stopped");
  }

  setHostConfig(id: string, hostConfig: DockerHostConfig): void {
    writePoint("set host config");
    this.#rows.run(this.#statements.hostConfig, JSON.stringify(hostConfig), id);
    writePoint("was set host config");
  }

  setNetworking(id: string, networking: ContainerNetworking): void {
    writePoint("set networking");
    this.#rows.run(this.#statements.networking, JSON.stringify(networking), id);
    writePoint("was set networking");
  }

  /** Clears what the container no longer has in networks. */
  clearNetworking(id: string, networking: ContainerNetworking): void {
    writePoint("clear networking");
    this.#rows.runOrLater(this.#statements.networking, JSON.stringify(networking), id);
    writePoint("cleared networking");
  }

  setHealth(id: string, health: HealthRecord): void {
    writePoint("set health");
    this.#rows.runOrLater(this.#statements.health, formatOptional(health), id);
    writePoint("was set health");
  }

  setIdMappings(id: string, idMappings: IdMappings | null): void {
    writePoint("set id mappings");
    this.#rows.run(this.#statements.idMappings, formatOptional(idMappings), id);
    writePoint("was set id mappings");
  }

  rename(id: string, name: string): void {
    writePoint("rename");
    this.#rows.run(this.#statements.rename, name, id);
    writePoint("renamed");
  }

  setRemoving(c: Pick<ContainerRecord, "id" | "removeVolumes">): void {
    writePoint("set removing");
    this.#rows.runOrLater(this.#statements.removing, Number(c.removeVolumes), c.id);
    writePoint("was set removing");
  }

  delete(id: string): void {
    writePoint("delete container");
    this.#rows.runOrLater(this.#statements.delete, id);
    writePoint("deleted container");
  }

  setting(key: string): string | undefined {
    return (this.#statements.getSetting.get(key) as { value: string } | null)?.value;
  }

  setSetting(key: string, value: string): void {
    this.#rows.run(this.#statements.setSetting, key, value);
  }

  [Symbol.dispose](): void {
    this.#rows[Symbol.dispose]();
    this.#db.close();
  }
}

type RunningValues = Pick<
  ContainerRecord,
  "id" | "pid" | "startedAt" | "restartCount" | "manuallyStopped" | "health" | "networking"
>;

function runningValues({ id, pid, startedAt, restartCount, manuallyStopped, health, networking }: RunningValues) {
  const values = [pid, startedAt, restartCount, Number(manuallyStopped), formatOptional(health)];
  return [...values, JSON.stringify(networking), id];
}

function openDatabase(path: string, makeRoom: () => boolean): Database {
  let db: Database;
  try {
    db = new Database(path, { create: true });
    chmodSync(path, 0o600); // environments of containers hold secrets
    // locking_mode must precede journal_mode: WAL then keeps its index in our memory, not in a shared file.
    db.run("PRAGMA locking_mode = EXCLUSIVE");
    db.run("PRAGMA journal_mode = WAL");
    db.run("PRAGMA synchronous = NORMAL");
    writeWithRoom(db, () => migrate(db, path), makeRoom);
    checkpoint(db);
  } catch (error) {
    if (errnoOf(error) === "SQLITE_BUSY")
      throw new LighterError("conflict", `open "${path}": another daemon is using it`, {
        hint: "choose another --data-root",
        cause: error,
      });
    if (error instanceof LighterError) throw error;
    throw new LighterError("internal", `open "${path}": ${messageOf(error)}`, { cause: error });
  }
  return db;
}

function migrate(db: Database, path: string): void {
  applyMigrations(db, path, MIGRATIONS);
  // A second daemon must fail here, not at its first container. The lock is taken all the same if there is no room to write.
  try {
    db.run(`PRAGMA user_version = ${MIGRATIONS.length}`);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  }
}

/** Returns the networks of a row; a container of a Lighter without networks is in the one of its mode. */
function networkingOf({ networking, config, host_config }: Row): ContainerNetworking {
  if (networking !== null) return JSON.parse(networking);
  return { endpoints: planEndpoints(JSON.parse(config), JSON.parse(host_config), {}), ports: [] };
}

function formatOptional(value: object | null | undefined): string | null {
  return value == null ? null : JSON.stringify(value);
}

function recordOf(row: Row): ContainerRecord {
  return {
    id: row.id,
    name: row.name ?? "",
    status: row.status,
    createdAt: row.created_at,
    image: row.image,
    imageId: row.image_id,
    config: JSON.parse(row.config),
    hostConfig: JSON.parse(row.host_config),
    mountPoints: JSON.parse(row.mount_points),
    idMappings: row.id_mappings === null ? null : JSON.parse(row.id_mappings),
    networking: networkingOf(row),
    pid: row.pid,
    exitCode: row.exit_code,
    error: row.error,
    oomKilled: row.oom_killed !== 0,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    restartCount: row.restart_count,
    removeVolumes: row.remove_volumes !== 0,
    paused: row.paused !== 0,
    manuallyStopped: row.manually_stopped !== 0,
    machineEnd: row.machine_end ?? undefined,
    health: row.health === null ? undefined : JSON.parse(row.health),
  };
}
