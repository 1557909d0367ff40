/**
 * The runtime's record of its containers: `<root>/<id>/`, removed when the container is deleted.
 *
 *   state.json    `ContainerState`
 *   config.json   the bundle's, as it was when the container was created
 *   exec.fifo     from `create` until `start`
 *   *.program     what a later command does, see later.ts
 *
 * The lock is the directory's flock(2). Code that changes a container holds it; code that only looks does not.
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
  /** The bundle's absolute path. */
  bundle: string;
  rootfs: string;
  /** The time of creation (RFC 3339). */
  created: string;
  /** The name of the user who created the container, or "#" and the uid. */
  owner: string;
  /** The pid of init; 0 until it is known. */
  pid: number;
  /** Field 22 of /proc/PID/stat, which distinguishes init from another process that has got its pid. */
  pidStartTime: number;
  /** The effective path of the cgroup; "" for none. */
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
 * A container's directory. With a lock, `using handle = lockState(…)` releases it at the end of the block. Fields of `state` are
 * changed in place, and are on disk after `save`.
 */
export class StateHandle {
  #config: OciConfig | undefined;
  #lockFd: number | undefined;

  constructor(
    readonly directory: string,
    readonly state: ContainerState,
    /** Whether this process is the one that creates the container. */
    readonly creating: boolean,
    lockFd?: number,
  ) {
    this.#lockFd = lockFd;
  }

  get locked(): boolean {
    return this.#lockFd !== undefined;
  }

  /**
   * The config that the container was created with.
   * @throws LighterError ("not-found") if the container is being deleted, ("invalid") if the file was tampered with
   */
  get config(): OciConfig {
    if (this.#config === undefined) {
      const path = join(this.directory, CONFIG_FILE);
      this.#config = parseOciConfig(readOwnFile(path, OCI_CONFIG_MAX_BYTES), path);
    }
    return this.#config;
  }

  /** Sets the value of `config`, so that it is not read from disk. */
  knowConfig(config: OciConfig): void {
    this.#config = config;
  }

  get execFifoPath(): string {
    return join(this.directory, EXEC_FIFO);
  }

  /** Writes the state. It is not synced to disk: the directory is on a tmpfs, and a container does not outlive the kernel. */
  save(): void {
    const path = join(this.directory, STATE_FILE);
    const [before, between, after] = this.textsAroundPid;
    const { pid, pidStartTime } = this.state;
    writeFileSync(`${path}.new`, `${before}${pid}${between}${pidStartTime}${after}`, { mode: 0o600 });
    writePoint("save state");
    renameSync(`${path}.new`, path);
    writePoint("saved state");
  }

  /** The text that `save` writes, in two pieces: `pid` and `pidStartTime` belong between them. */
  get textsAroundPid(): [string, string, string] {
    const { pid: _pid, pidStartTime: _time, ...rest } = this.state;
    return ['{"pid":', ',"pidStartTime":', `,${JSON.stringify(rest).slice(1)}\n`];
  }

  /** The descriptor of the open directory, which holds its lock. */
  get lockFd(): number {
    assert(this.#lockFd !== undefined, "the container is locked");
    return this.#lockFd;
  }

  /** Removes the directory, and with it the container. It needs the lock, and releases it; without the lock it does nothing. */
  remove(): void {
    if (!this.locked) return; // the name may now be another container's
    removeDirectory(this.directory);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#lockFd !== undefined) closeSync(this.#lockFd);
    this.#lockFd = undefined;
  }
}

/** The fields that `createState` is given; it fills in the rest. */
type NewState = Pick<ContainerState, "bundle" | "rootfs" | "cgroupsPath" | "systemdCgroup" | "rootless">;

/**
 * Makes the directory, locked, with `pid` 0. `configBytes` is the bundle's config.json.
 * @throws LighterError ("conflict") if the container exists, or one was deleted while this one was being made.
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
    // The directory was deleted before it was locked, and this is the next one of the same name.
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
 * Opens a container's state for reading.
 * @throws LighterError ("not-found"), ("invalid") if `id` is not a valid name or state.json has another form.
 */
export function openState(root: string, id: string): StateHandle {
  const directory = directoryOf(root, id);
  return new StateHandle(directory, loadState(directory, id), false);
}

/** Opens a container's state for changing it: waits for the lock, which `[Symbol.dispose]()` releases. */
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
 * Opens a container's state for deleting it by force; undefined if the container does not exist. A directory whose state cannot
 * be read is removed: nothing else is made before state.json is written, or left when it is removed.
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

/** Removes the directory, beginning with state.json: while that exists, everything that a second try needs exists, too. */
function removeDirectory(directory: string): void {
  rmSync(join(directory, STATE_FILE), { force: true });
  writePoint("removed state");
  for (let round = 1; ; round++) {
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true });
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      // The end of an exec, which takes no lock, has created a file meanwhile.
      if (errnoOf(error) !== "ENOTEMPTY" || round === OCI_REMOVE_ROUNDS) throw error;
    }
  }
}

/** The directory of a container's state, whether or not it exists. @throws LighterError ("invalid") if `id` is no valid name */
export function directoryOf(root: string, id: string): string {
  checkId(id);
  return join(root, id);
}

/** The ids of all containers, sorted; none if the root is missing. */
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

/** The container's status according to the kernel. A container whose creation was interrupted is "stopped". */
export function statusOf(handle: StateHandle): ContainerStatus {
  const { pid, pidStartTime, cgroupsPath } = handle.state;
  if (pid === 0) return handle.creating || (!handle.locked && isLocked(handle.directory)) ? "creating" : "stopped";
  const process = readProcessStat(pid);
  if (process === undefined || process.startTime !== pidStartTime || "ZXx".includes(process.state)) return "stopped";
  if (isWaiting(handle.execFifoPath)) return "created";
  return cgroupsPath !== "" && isPaused(cgroupsPath) ? "paused" : "running";
}

/** Whether the FIFO exists and init still has it open: a killed `start` may have released init without removing the FIFO. */
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
    if (error instanceof LighterError && error.code === "not-supported") return false; // there is no freezer
    throw error;
  }
}

/** The user's name in /etc/passwd, or "#" and the uid. */
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

/**
 * Reads a file of the state.
 * @throws LighterError ("not-found") if it is missing: the container is not created yet, or deleted
 */
function readOwnFile(path: string, maxBytes: number): string {
  try {
    return readRegularFile(path, maxBytes).toString();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error))) throw doesNotExist();
    throw error;
  }
}

/** The descriptor that holds the directory's lock, or undefined if the directory does not exist. */
function lockDirectory(directory: string): number | undefined {
  for (;;) {
    const fd = openDirectory(directory);
    if (fd === undefined) return undefined;
    lockExclusive(fd);
    const found = statSync(directory, { throwIfNoEntry: false });
    const held = fstatSync(fd);
    if (found?.ino === held.ino && found.dev === held.dev) return fd;
    closeSync(fd); // the previous holder removed the directory; there may be a new one
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

/** The error for a missing container. Callers look for these words. */
function doesNotExist(): LighterError {
  return new LighterError("not-found", "container does not exist");
}
