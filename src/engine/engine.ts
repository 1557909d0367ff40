/** The engine: all that containers have in common. Its verbs are in life/ and process/. */
import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { type FileWorkers, Trash } from "../files/mod.ts";
import { spreadDirectories } from "../linux/sys/spread-directories.ts";
import type { Runtime } from "../runtime/types.ts";
import type { Container } from "./container.ts";
import { Containers } from "./containers.ts";
import { logFailure } from "./endpoints/attempt.ts";
import { Endpoints } from "./endpoints/endpoints.ts";
import { EventBus } from "./events.ts";
import { LogCompressor } from "./logs/compress-logs.ts";
import { LogForwarder } from "./logs/forward.ts";
import { Networks, type NetworkUser } from "./networks/networks.ts";
import { ownNames } from "./networks/own-names.ts";
import type { NetworkSettings } from "./networks/settings.ts";
import type { HostNetwork } from "./plan/host-network.ts";
import type { Planner, PlannerParts } from "./plan/planner.ts";
import { Execs } from "./process/execs.ts";
import { Guests } from "./process/guests.ts";
import { openStore } from "./recovery/open-store.ts";
import type { EnginePaths } from "./state/paths.ts";
import type { ContainerRecord } from "./state/record.ts";
import type { Store } from "./state/store.ts";
import { parseRemap, readAccountFiles, type UserNamespaceSetting, UserNamespaces } from "./userns/mod.ts";
import { MountedVolumes } from "./volumes/mounted-volumes.ts";
import { Volumes } from "./volumes/volumes.ts";

export interface EngineOptions {
  paths: EnginePaths;
  runtime: Runtime;
  /** Makes the planner, from parts of the engine. */
  planner: (parts: PlannerParts) => Planner;
  networks: HostNetwork & { settings: NetworkSettings };
  /** The workers for files; the engine ends them. */
  workers: FileWorkers;
  /** Makes room on a full disk; returns false if it cannot. */
  makeRoom?: () => boolean;
  /** True to go on with a database that is lost or damaged: see recovery/. */
  recover?: boolean;
  /** The ids of containers that do not say; by default the host's. */
  userNamespaces?: UserNamespaceSetting;
}

/**
 * Containers as their users see them.
 *
 *   container   a row with what was asked for and what became of it; it may run many times
 *   init        the first process of one run, with a supervisor beside it that outlives this daemon
 *   endpoint    the container's place in a network while it runs
 *   exec        another process in the namespaces of one that runs
 *
 * Life of a container: created → running (perhaps paused) → exited → running again, or removed; docs/architecture.md has the figure.
 *
 *   const { engine } = await openEngine(options); // takes up what runs already, and starts what should
 *   const { id } = await createContainer(engine, { Image: "hello" }, "greeter");
 *   await startContainer(engine, engine.find("greeter"));
 *   const exitCode = await engine.find(id).wait("not-running");
 *   await removeContainer(engine, engine.find(id), { force: false, volumes: true });
 *
 * Disposing of an engine ends no container. Whatever changes one container waits for its queue; different containers do not wait
 * for one another.
 *
 * Memory is a cache of the store: every change is written there first, so that `kill -9` at any moment
 * leaves what the next `reconcile` understands. The order of writes, and what a crash in between leaves:
 *
 *   create   row                                          nothing, or a created container
 *   start    directory, run directory and process, row    a created container with a live run directory: it is adopted
 *   exit     exit record (supervisor), row, run directory a running row with an exit record: the exit is finished
 *   remove   row "removing", volumes and directories      a row "removing": the removal goes on
 *            into the trash, row deleted
 */
export class Engine implements AsyncDisposable {
  readonly paths: EnginePaths;
  readonly runtime: Runtime;
  readonly planner: Planner;
  readonly events = new EventBus();
  readonly store: Store;
  readonly execs: Execs;
  readonly volumes: Volumes;
  /** The workers that walk, copy and remove files. */
  readonly workers: FileWorkers;
  readonly trash: Trash;
  readonly mountedVolumes: MountedVolumes;
  readonly networks: Networks;
  readonly userNamespaces: UserNamespaces;
  readonly endpoints: Endpoints;
  readonly containers = new Containers();
  /** What runs without a row: see process/guests.ts. */
  readonly guests: Guests;
  /** Work that nobody waits for. */
  readonly #background = new Set<Promise<void>>();
  readonly #parts = new DisposableStack();
  readonly logForwarder = new LogForwarder();
  readonly logCompressor = new LogCompressor();
  isDisposed = false;

  /** Opens the state; `reconcile` must follow. @throws LighterError like `Store` */
  constructor(options: EngineOptions) {
    this.paths = options.paths;
    this.runtime = options.runtime;
    makeStateDirectories(this.paths);
    this.store = openStore(this.paths, options);
    this.workers = options.workers;
    this.trash = new Trash(this.paths.removedContainers, this.workers);
    this.mountedVolumes = new MountedVolumes(this.runtime, this.paths);
    this.volumes = new Volumes({
      onRemoved: (name) => this.mountedVolumes.forget(name),
      table: this.store.volumes,
      directory: this.paths.volumes,
      workers: this.workers,
      events: this.events,
      usersOf: (name) => this.list().flatMap(({ id, record }) => (hasVolume(record, name) ? [id] : [])),
    });
    const { settings } = options.networks;
    this.networks = new Networks({
      table: this.store.networks,
      events: this.events,
      settings,
      host: options.networks.host,
      firewall: options.networks.firewall,
      installationId: this.id,
      ownBridgeName: ownNames(this.paths.dataRoot).bridge,
      usersOf: (networkId) => this.#usersOf(networkId),
      publishedPorts: () => this.list().flatMap(({ record }) => record.networking.ports),
      containerLinks: () => this.endpoints.containerLinks(),
    });
    this.endpoints = new Endpoints({
      ...options.networks,
      ...{ networks: this.networks, events: this.events, containers: this.containers, paths: this.paths },
    });
    const { containers, networks, mountedVolumes, workers } = this;
    this.planner = options.planner({ containers, networks, mountedVolumes, workers });
    this.execs = new Execs(this);
    this.guests = new Guests(this);
    const { userNamespaces = parseRemap("", readAccountFiles()) } = options;
    this.userNamespaces = new UserNamespaces(userNamespaces, (ref) => this.find(ref));
  }

  /** Lets go of the state, for another engine in this process: tests. Processes run on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    this.#parts.dispose();
    this.endpoints[Symbol.dispose]();
    for (const container of this.containers.values()) {
      container.restarts.cancel();
      container.supervised?.disconnect();
    }
    await Promise.all([this.logForwarder.stop(), this.logCompressor.stop()]);
    await this.idle();
    for (const trash of this.trashes) trash.close();
    this.workers[Symbol.dispose]();
    this.store[Symbol.dispose]();
  }

  /** The directories in which removed containers and volumes are until they are deleted. */
  get trashes(): readonly Trash[] {
    return [this.trash, this.volumes.trash];
  }

  /** Disposes of `part` together with the engine. */
  use(part: Disposable): void {
    this.#parts.use(part);
  }

  /** Resolves when no work is under way in the background. */
  async idle(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  #usersOf(networkId: string): NetworkUser[] {
    return [...this.list(), ...this.guests.list()].flatMap(({ id, record }) =>
      record.networking.endpoints.flatMap(({ networkId: own, state }) =>
        own === networkId && state !== undefined ? [{ containerId: id, containerName: record.name, state }] : [],
      ),
    );
  }

  /** A random name for this installation. */
  get id(): string {
    const known = this.store.setting("id");
    if (known !== undefined) return known;
    const id = randomUUID();
    this.store.setSetting("id", id);
    return id;
  }

  /** Returns all containers, newest first. */
  list(): Container[] {
    return this.containers.list();
  }

  /** Finds a container, by whatever refers to it: see `Containers`. @throws LighterError "not-found", "invalid" if ambiguous */
  find(ref: string): Container {
    return this.containers.find(ref);
  }

  /** True if a container that does not say is in a user namespace. */
  get remapsUsers(): boolean {
    return this.userNamespaces.isDefault;
  }

  /** Finds like `find`; undefined for none and for many. */
  findIf(ref: string): Container | undefined {
    return this.containers.findIf(ref);
  }

  /** Runs work in the background. `what` is for the log, if it fails. */
  inBackground(what: string, work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => logFailure(what, error))
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}

/**
 * Makes the directories. Nobody else may reach a container's files, set-user-id programs of its image among them
 * (CVE-2021-41091). The directories of an older Lighter get the mode, too.
 */
function makeStateDirectories(paths: EnginePaths): void {
  const make = (path: string, mode: number) => {
    mkdirSync(path, { recursive: true, mode });
    chmodSync(path, mode);
  };
  for (const path of [paths.dataRoot, paths.containers]) make(path, 0o710);
  spreadDirectories(paths.containers);
  rmSync(paths.viewDirectories, { recursive: true, force: true }); // of a daemon that died over them
  for (const path of [paths.runDirectories, paths.execDirectories, paths.viewDirectories, paths.stepDirectories])
    make(path, 0o700);
}

function hasVolume({ mountPoints }: ContainerRecord, name: string): boolean {
  return mountPoints.some(({ volume }) => volume?.name === name);
}
