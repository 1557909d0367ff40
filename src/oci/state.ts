/**
 * What the runtime remembers of its containers: `<root>/<id>/`, gone when the container is deleted.
 *
 *   state.json    `ContainerState`
 *   config.json   the bundle's, as it was when the container was created
 *   exec.fifo     from `create` until `start`
 *   *.program     what a later command does, see later.ts
 *
 * The lock is the directory's flock(2). Whoever changes a container holds it; whoever only looks does not.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import { OCI_CONFIG_MAX_BYTES, OCI_ID_MAX_BYTES, OCI_REMOVE_ROUNDS, OCI_STATE_MAX_BYTES } from "../base/limits.ts";
import { formatNow } from "../base/time.ts";
import { writePoint } from "../base/write-point.ts";
import { isFrozen } from "../linux/cgroup/mod.ts";
import { readProcessStat } from "../linux/process/process-stat.ts";
import { lockExclusive, tryLockExclusive } from "../linux/sys/flock.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { parseOciConfig } from "../spec/parse-oci-config.ts";
import { boolean, integer, object, readDocument, string } from "../spec/reader.ts";
import { cgroupHost } from "./cgroup.ts";
import { readRegularFile } from "./read-file.ts";

export interface ContainerState {
  version: 1;
  id: string;
  /** Absolute paths. */
  bundle: string;
  rootfs: string;
  /** RFC 3339. */
  created: string;
  /** Name of the user who created it, or "#" and the uid. */
  owner: string;
  /** Of init; 0 until it is known. */
  pid: number;
  /** Field 22 of /proc/PID/stat: tells init from another process that has got its pid. */
  pidStartTime: number;
  /** The effective one; "" for none. */
  cgroupsPath: string;
  systemdCgroup: boolean;
  rootless: boolean;
}

export type ContainerStatus = "creating" | "created" | "running" | "paused" | "stopped";

export const STATE_FILE = "state.json";
export const EXEC_FIFO = "exec.fifo";
const CONFIG_FILE = "config.json";

const readState = object<ContainerState>(
  {
    version: integer(1, 1) as (value: unknown, path: string) => 1,
    id: string,
    bundle: string,
    rootfs: string,
    created: string,
    owner: string,
    pid: integer(0, 2 ** 31 - 1),
    pidStartTime: integer(0, Number.MAX_SAFE_INTEGER),
    cgroupsPath: string,
    systemdCgroup: boolean,
    rootless: boolean,
  },
  {
    required: [
      "version",
      "id",
      "bundle",
      "rootfs",
      "created",
      "owner",
      "pid",
      "pidStartTime",
      "cgroupsPath",
      "systemdCgroup",
      "rootless",
    ],
  },
);

/**
 * One container's directory. With a lock, `using handle = lockState(…)` releases it at the end of the block.
 * Fields of `state` are changed in place, and are on disk after `save`.
 */
export class StateHandle {
  #config: OciConfig | undefined;
  #lockFd: number | undefined;

  constructor(
    readonly directory: string,
    readonly state: ContainerState,
    /** This process is the one that creates it. */
    readonly creating: boolean,
    lockFd?: number,
  ) {
    this.#lockFd = lockFd;
  }

  get locked(): boolean {
    return this.#lockFd !== undefined;
  }

  /**
   * The config as the container was created with.
   * @throws LighterError ("not-found") if the container is being deleted, ("invalid") if the file was tampered with
   */
  get config(): OciConfig {
    if (this.#config === undefined) {
      const path = join(this.directory, CONFIG_FILE);
      this.#config = parseOciConfig(readOwnFile(path, OCI_CONFIG_MAX_BYTES), path);
    }
    return this.#config;
  }

  /** What `config` would read again. */
  knowConfig(config: OciConfig): void {
    this.#config = config;
  }

  get execFifoPath(): string {
    return join(this.directory, EXEC_FIFO);
  }

  /** Not synced to disk: the directory is on a tmpfs, and a container does not outlive the kernel. */
  save(): void {
    const path = join(this.directory, STATE_FILE);
    const [before, between, after] = this.textsAroundPid;
    const { pid, pidStartTime } = this.state;
    writeFileSync(`${path}.new`, `${before}${pid}${between}${pidStartTime}${after}`, { mode: 0o600 });
    writePoint("save state");
    renameSync(`${path}.new`, path);
    writePoint("saved state");
  }

  /** What `save` writes, in pieces: `pid` and `pidStartTime` come between them. */
  get textsAroundPid(): [string, string, string] {
    const { pid: _pid, pidStartTime: _time, ...rest } = this.state;
    return ['{"pid":', ',"pidStartTime":', `,${JSON.stringify(rest).slice(1)}\n`];
  }

  /** The open directory, which is locked by it. */
  get lockFd(): number {
    assert(this.#lockFd !== undefined, "the container is locked");
    return this.#lockFd;
  }

  /** Removes the directory: the container is gone. Only with the lock; ends it, and does nothing when it has ended. */
  remove(): void {
    if (!this.locked) return; // the name may be another container's by now
    removeDirectory(this.directory);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#lockFd !== undefined) closeSync(this.#lockFd);
    this.#lockFd = undefined;
  }
}

/** What `createState` is told; the rest it knows. */
type NewState = Pick<ContainerState, "bundle" | "rootfs" | "cgroupsPath" | "systemdCgroup" | "rootless">;

/**
 * Makes the directory, `pid` 0, locked. `configBytes` is the bundle's config.json.
 * @throws LighterError ("conflict") if there is such a container, or one was deleted while it was being made.
 */
export function createState(root: string, id: string, fields: NewState, configBytes: Uint8Array): StateHandle {
  checkId(id);
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const directory = join(root, id);
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    if (errnoOf(cause) === "EEXIST") throw alreadyExists();
    throw cause;
  }
  writePoint("made directory");
  const lockFd = lockDirectory(directory);
  if (lockFd === undefined) throw new LighterError("conflict", "the container was deleted while it was being created");
  if (existsSync(join(directory, STATE_FILE))) {
    // Ours was deleted before we had the lock, and this is the next one of the same name.
    closeSync(lockFd);
    throw alreadyExists();
  }
  const state: ContainerState = {
    version: 1,
    id,
    created: formatNow(),
    owner: ownerName(process.geteuid?.() ?? 0),
    pid: 0,
    pidStartTime: 0,
    ...fields,
  };
  const handle = new StateHandle(directory, state, true, lockFd);
  try {
    writeFileSync(join(directory, CONFIG_FILE), configBytes, { mode: 0o600 });
    writePoint("wrote config");
    handle.save();
  } catch (error) {
    handle.remove();
    throw error;
  }
  return handle;
}

/**
 * The container's state, for looking at it.
 * @throws LighterError ("not-found"), ("invalid") if `id` is not one or state.json is not what we write.
 */
export function openState(root: string, id: string): StateHandle {
  const directory = directoryOf(root, id);
  return new StateHandle(directory, loadState(directory, id), false);
}

/** The same, for changing it: waits for whoever is doing that now. `[Symbol.dispose]()` ends the lock. */
export function lockState(root: string, id: string): StateHandle {
  const directory = directoryOf(root, id);
  const lockFd = lockDirectory(directory);
  if (lockFd === undefined) throw doesNotExist();
  try {
    return new StateHandle(directory, loadState(directory, id), false, lockFd);
  } catch (error) {
    closeSync(lockFd);
    throw error;
  }
}

/**
 * The same, for deleting it by force. Undefined: there is none (any more). A directory whose state cannot be read has
 * been removed: nothing else is made before state.json is written, or left when it is removed.
 */
export function lockStateByForce(root: string, id: string): StateHandle | undefined {
  const directory = directoryOf(root, id);
  const lockFd = lockDirectory(directory);
  if (lockFd === undefined) return undefined;
  try {
    return new StateHandle(directory, loadState(directory, id), false, lockFd);
  } catch (error) {
    if (error instanceof LighterError) removeDirectory(directory);
    closeSync(lockFd);
    if (error instanceof LighterError) return undefined;
    throw error;
  }
}

/** state.json first: while it is there, everything that is needed to try again is. */
function removeDirectory(directory: string): void {
  rmSync(join(directory, STATE_FILE), { force: true });
  writePoint("removed state");
  for (let round = 1; ; round++) {
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true });
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      // The last of an exec, which takes no lock, has come in between.
      if (errnoOf(error) !== "ENOTEMPTY" || round === OCI_REMOVE_ROUNDS) throw error;
    }
  }
}

/** Where a container of this name has its state, or would have it. @throws LighterError ("invalid") if it is no name */
export function directoryOf(root: string, id: string): string {
  checkId(id);
  return join(root, id);
}

/** The ids of all containers, sorted; a missing root holds none. */
export function listIds(root: string): string[] {
  try {
    const entries = readdirSync(root, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && isId(entry.name))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Asks the kernel. A container whose creation was cut short is "stopped". */
export function statusOf(handle: StateHandle): ContainerStatus {
  const { pid, pidStartTime, cgroupsPath } = handle.state;
  if (pid === 0) return handle.creating || (!handle.locked && isLocked(handle.directory)) ? "creating" : "stopped";
  const process = readProcessStat(pid);
  if (process === undefined || process.startTime !== pidStartTime || "ZXx".includes(process.state)) return "stopped";
  if (isWaiting(handle.execFifoPath)) return "created";
  return cgroupsPath !== "" && isPaused(cgroupsPath) ? "paused" : "running";
}

/** Whether the FIFO is there, and init still has it open: a `start` that was killed may have let it go, but not removed it. */
function isWaiting(execFifoPath: string): boolean {
  try {
    closeSync(openSync(execFifoPath, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if (["ENOENT", "ENXIO"].includes(errnoOf(error))) return false;
    throw error;
  }
}

function isPaused(cgroupsPath: string): boolean {
  try {
    return isFrozen(cgroupHost(), cgroupsPath);
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-supported") return false; // no freezer here
    throw error;
  }
}

/** The name of the user in /etc/passwd, or "#" and the uid. */
function ownerName(uid: number): string {
  try {
    const line = readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .find((each) => each.split(":")[2] === String(uid));
    return line?.split(":")[0] ?? `#${uid}`;
  } catch {
    return `#${uid}`;
  }
}

function loadState(directory: string, id: string): ContainerState {
  const path = join(directory, STATE_FILE);
  const state = readDocument(readState, readOwnFile(path, OCI_STATE_MAX_BYTES), path);
  if (state.id !== id) throw new LighterError("invalid", `${path}: id is ${JSON.stringify(state.id)}`);
  return state;
}

/** @throws LighterError ("not-found") if the file is missing: the container is not yet there, or no more */
function readOwnFile(path: string, maxBytes: number): string {
  try {
    return readRegularFile(path, maxBytes).toString();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error))) throw doesNotExist();
    throw error;
  }
}

/** The fd that holds the lock of the directory, or undefined if there is no such directory (any more). */
function lockDirectory(directory: string): number | undefined {
  for (;;) {
    const fd = openDirectory(directory);
    if (fd === undefined) return undefined;
    lockExclusive(fd);
    const found = statSync(directory, { throwIfNoEntry: false });
    const held = fstatSync(fd);
    if (found?.ino === held.ino && found.dev === held.dev) return fd;
    closeSync(fd); // whoever had the lock removed the directory; there may be a new one
  }
}

function isLocked(directory: string): boolean {
  const fd = openDirectory(directory);
  if (fd === undefined) return false;
  try {
    return !tryLockExclusive(fd);
  } finally {
    closeSync(fd);
  }
}

function openDirectory(directory: string): number | undefined {
  try {
    return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error))) return undefined;
    throw new LighterError("kernel", `open "${directory}": ${messageOf(error)}`, { errno: errnoOf(error) });
  }
}

function isId(id: string): boolean {
  return /^[\w+.-]+$/.test(id) && id !== "." && id !== ".." && id.length <= OCI_ID_MAX_BYTES;
}

function checkId(id: string): void {
  if (id === "") throw new LighterError("invalid", "container id cannot be empty");
  if (!isId(id)) throw new LighterError("invalid", "invalid container ID format");
}

function alreadyExists(): LighterError {
  return new LighterError("conflict", "container with given ID already exists");
}

/** Callers look for these words. */
function doesNotExist(): LighterError {
  return new LighterError("not-found", "container does not exist");
}
