/** The engine: it creates, starts and removes containers, and records their ends. */
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { LighterError, messageOf } from "../base/errors.ts";
import { randomId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import { SIGNALS } from "../base/signals.ts";
import { formatNow, formatRfc3339, msBetween, ZERO_TIME } from "../base/time.ts";
import { writePoint } from "../base/write-point.ts";
import { type FileWorkers, Trash } from "../files/mod.ts";
import { type Ending, endingOf, endOfMachine, type MachineSecrets } from "../machine/mod.ts";
import { rootMountpointIn } from "../runtime/run-files.ts";
import type { ExitRecord, Runtime, StartRequest, Supervised } from "../runtime/types.ts";
import { parseLogConfig } from "./config/log.ts";
import { cgroupsPathOf, isMachine } from "./config/mod.ts";
import type { MountPoint } from "./config/mounts.ts";
import { Container } from "./container.ts";
import { Endpoints } from "./endpoints/endpoints.ts";
import { hostGateway } from "./endpoints/host-gateway.ts";
import { linksOf, requireLinks, withoutLink } from "./endpoints/links.ts";
import { cannotRemove, inContext, markedForRemoval, nameInUse, noSuchContainer } from "./errors.ts";
import { EventBus } from "./events.ts";
import { startingHealth } from "./health/health-state.ts";
import { LogCompressor } from "./logs/compress-logs.ts";
import { LogForwarder } from "./logs/forward.ts";
import { parseName, randomName } from "./names.ts";
import { Networks, type NetworkUser } from "./networks/networks.ts";
import { ownNames } from "./networks/own-names.ts";
import type { NetworkSettings } from "./networks/settings.ts";
import type { HostNetwork } from "./plan/host-network.ts";
import { writeSecrets } from "./plan/machine-secrets.ts";
import type { CreateOptions, Planner } from "./plan/planner.ts";
import { type PendingAttach, withHeaders } from "./process/attach.ts";
import { killForGood } from "./process/control.ts";
import { LOST_EXIT_CODE } from "./process/exec.ts";
import { Execs } from "./process/execs.ts";
import { Guests } from "./process/guests.ts";
import { runPoststopHooks, startWithHooks } from "./process/hooks.ts";
import { watchMachine } from "./process/machine-state.ts";
import { wantsRestart } from "./process/restarts.ts";
import { openStore } from "./recovery/open-store.ts";
import { exitCodeOfStartError, hasStartedBefore, newRecord } from "./state/new-record.ts";
import type { EnginePaths } from "./state/paths.ts";
import type { ContainerRecord } from "./state/record.ts";
import type { Store } from "./state/store.ts";
import { sameMappings } from "./userns/id-mappings.ts";
import { parseRemap, readAccountFiles, type UserNamespaceSetting, UserNamespaces } from "./userns/mod.ts";
import { MountedVolumes } from "./volumes/mounted-volumes.ts";
import { shareMemory } from "./volumes/shared-memory.ts";
import { Volumes } from "./volumes/volumes.ts";
import type { VolumesInUse } from "./volumes/volumes-in-use.ts";

export interface EngineOptions {
  paths: EnginePaths;
  runtime: Runtime;
  planner: Planner;
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
 *   await using engine = await Engine.open(options); // takes up what runs already, and starts what should
 *   const { id } = await engine.create({ Image: "hello" }, "greeter");
 *   await engine.start(engine.find("greeter"));
 *   const exitCode = await engine.find(id).wait("not-running");
 *   await engine.remove(engine.find(id), { force: false, volumes: true });
 *
 * Disposing of an engine ends no container. Whatever changes one container waits for its queue; different containers do not wait
 * for one another.
 *
 * Memory is a cache of the store: every change is written there first, so that `kill -9` at any moment
 * leaves what the next `open` understands. The order of writes, and what a crash in between leaves:
 *
 *   create   row                                          nothing, or a created container
 *   start    directory, run directory and process, row    a created container with a live run directory: `open` adopts it
 *   exit     exit record (supervisor), row, run directory a running row with an exit record: `open` finishes the exit
 *   remove   row "removing", volumes and directories      a row "removing": `open` goes on
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
  readonly #trash: Trash;
  readonly #mountedVolumes: MountedVolumes;
  readonly networks: Networks;
  readonly #userNamespaces: UserNamespaces;
  readonly endpoints: Endpoints;
  /** The containers by id, oldest first; without those being removed. */
  readonly #containers = new Map<string, Container>();
  /** What runs without a row: see process/guests.ts. */
  readonly guests: Guests;
  readonly #names = new Map<string, Container>();
  /** Work that nobody waits for. */
  readonly #background = new Set<Promise<void>>();
  readonly #parts = new DisposableStack();
  readonly #logForwarder = new LogForwarder();
  readonly #logCompressor = new LogCompressor();
  isDisposed = false;

  private constructor(options: EngineOptions) {
    this.paths = options.paths;
    this.runtime = options.runtime;
    this.planner = options.planner;
    makeStateDirectories(this.paths);
    this.store = openStore(this.paths, options);
    this.workers = options.workers;
    this.#trash = new Trash(this.paths.removedContainers, this.workers);
    this.#mountedVolumes = new MountedVolumes(this.runtime, this.paths);
    this.volumes = new Volumes({
      onRemoved: (name) => this.#mountedVolumes.forget(name),
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
      networks: this.networks,
      firewall: options.networks.firewall,
      hostPorts: options.networks.hostPorts,
      startResolver: options.networks.startResolver,
      hasLink: (name) => options.networks.host.indexOf(name) !== undefined,
      unplug: (name) => options.networks.host.unplug(name),
      forwardWithin: (bridge, isOn) => options.networks.host.forwardWithin(bridge, isOn),
      routeLoopback: (bridge, isOn) => options.networks.host.routeLoopback(bridge, isOn),
      events: this.events,
      containers: () => this.#containers.values(),
      hostsPath: (id) => this.paths.container(id).hosts,
      findContainer: (ref) => this.findIf(ref),
    });
    this.execs = new Execs(this);
    this.guests = new Guests(this);
    const { userNamespaces = parseRemap("", readAccountFiles()) } = options;
    this.#userNamespaces = new UserNamespaces(userNamespaces, (ref) => this.find(ref));
    this.planner.connect({
      mountedVolumes: this.#mountedVolumes,
      workers: this.workers,
      findContainer: (ref) => this.find(ref),
      hostGateway: () => hostGateway(this.networks, settings),
    });
  }

  /** Opens the state and makes it agree with the processes that are there. @throws LighterError like `Store`. */
  static async open(options: EngineOptions): Promise<Engine> {
    const engine = new Engine(options);
    if (options.recover) await engine.#endUnknown();
    await engine.#reconcile();
    return engine;
  }

  /** Lets go of the state, for another engine in this process: tests. Processes run on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    this.#parts.dispose();
    this.endpoints[Symbol.dispose]();
    for (const container of this.#containers.values()) {
      container.restarts.cancel();
      container.supervised?.disconnect();
    }
    await Promise.all([this.#logForwarder.stop(), this.#logCompressor.stop()]);
    await this.idle();
    for (const trash of this.trashes) trash.close();
    this.workers[Symbol.dispose]();
    this.store[Symbol.dispose]();
  }

  /** The directories in which removed containers and volumes are until they are deleted. */
  get trashes(): readonly Trash[] {
    return [this.#trash, this.volumes.trash];
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
    return [...this.#containers.values()].reverse();
  }

  /**
   * Finds a container by id, name, the name and the alias of a link ("app/db"), or the beginning of an id, in this order. @throws
   * LighterError "not-found", "invalid" if ambiguous
   */
  find(ref: string): Container {
    const found = this.#containers.get(ref) ?? this.#names.get(ref.startsWith("/") ? ref.slice(1) : ref);
    if (found !== undefined) return found;
    const linked = this.#findLinked(ref);
    if (linked !== undefined) return linked;
    const matches = ref === "" ? [] : [...this.#containers.values()].filter(({ id }) => id.startsWith(ref));
    if (matches.length > 1) throw new LighterError("invalid", `Multiple IDs found with provided prefix: ${ref}`);
    if (matches[0] === undefined) throw noSuchContainer(ref);
    return matches[0];
  }

  #findLinked(ref: string): Container | undefined {
    const [, name = "", alias] = /^\/?([^/]+)\/([^/]+)$/.exec(ref) ?? [];
    const container = this.#names.get(name);
    if (container === undefined) return undefined;
    return linksOf(container.record, (id) => this.#containers.get(id)).find((link) => link.alias === alias)?.container;
  }

  /** True if a container that does not say is in a user namespace. */
  get remapsUsers(): boolean {
    return this.#userNamespaces.isDefault;
  }

  /** Finds like `find`; undefined for none and for many. */
  findIf(ref: string): Container | undefined {
    try {
      return this.find(ref);
    } catch {
      return undefined;
    }
  }

  // --- Create ---

  async create(body: unknown, name?: string, options: CreateOptions = {}): Promise<{ id: string; warnings: string[] }> {
    const givenName = name === undefined || name === "" ? undefined : parseName(name);
    const id = randomId();
    const { warnings, secrets, ...plan } = await this.planner.planCreate(body, id, options);
    const planned = newRecord(plan, id, givenName ?? randomName((candidate) => this.#names.has(candidate)));
    this.endpoints.check(planned);
    this.#requireFreeName(planned.name);
    const record = { ...planned, idMappings: this.#userNamespaces.assign(planned) };
    const mountPoints = this.volumes.claim(record.mountPoints, (claimed) =>
      this.store.insert({ ...record, mountPoints: claimed }),
    );
    this.#userNamespaces.claim(record);
    const container = new Container({ ...record, mountPoints }, this.events, this.store);
    this.#register(container);
    this.endpoints.namesChanged(container);
    if (secrets !== undefined) await this.#keepSecrets(container, secrets);
    container.publish("create");
    return { id, warnings };
  }

  /** Writes a machine's secrets. After its row, as a directory without one would be a loss. */
  async #keepSecrets(container: Container, secrets: MachineSecrets): Promise<void> {
    try {
      writePoint("write secrets");
      writeSecrets(this.paths.container(container.id), secrets);
    } catch (error) {
      await this.remove(container, { force: false, volumes: true });
      throw error;
    }
  }

  #requireFreeName(name: string): void {
    const owner = this.#names.get(name);
    if (owner !== undefined) throw nameInUse(name, owner.id);
  }

  #register(container: Container): void {
    this.#containers.set(container.id, container);
    this.#names.set(container.record.name, container);
  }

  /** Returns the program that would run, as text. */
  async explain(body: unknown, platform: string | undefined): Promise<string> {
    const id = randomId();
    const { warnings: _, secrets: __, ...plan } = await this.planner.planCreate(body, id, { platform });
    const planned = newRecord(plan, id, "explain");
    const record = { ...planned, idMappings: this.#userNamespaces.assign(planned) };
    const request = await this.#startRequest(record, [], true);
    return await this.runtime.explain({ ...request, ...this.endpoints.preview(record) });
  }

  // --- Start ---

  /**
   * Starts a container. Resolves when execve(2) has succeeded; false: it runs already. @throws LighterError like `Runtime.start`
   */
  start(container: Container): Promise<boolean> {
    return container.queue.run(async () => {
      if (container.record.status === "removing") throw markedForRemoval(container.id);
      if (container.record.paused)
        throw new LighterError("conflict", "cannot start a paused container, try unpause instead");
      if (container.isActive) return false;
      container.restarts.reset();
      await this.#start(container, { restartCount: 0, manuallyStopped: false });
      return true;
    });
  }

  /** Starts a container whose queue is held. */
  async #start(container: Container, counts: Pick<ContainerRecord, "restartCount" | "manuallyStopped">): Promise<void> {
    const attaches = [...container.pendingAttaches];
    container.pendingAttaches.clear();
    try {
      await this.#startProcess(container, attaches, counts);
    } catch (error) {
      for (const attach of attaches) attach.deliver(undefined);
      this.#startFailed(container, error);
      throw error;
    }
  }

  async #startProcess(
    container: Container,
    attaches: readonly PendingAttach[],
    counts: Pick<ContainerRecord, "restartCount" | "manuallyStopped">,
  ): Promise<void> {
    const { record } = container;
    const startedBefore = record.startedAt !== ZERO_TIME;
    if (startedBefore) {
      await container.supervised?.gone; // its cgroup has our name
      await this.#clearRunDirectory(record.id);
    }
    this.#assignIds(container);
    using undo = new DisposableStack();
    await this.planner.prepareProfile(record);
    const volumes = undo.use(await this.planner.prepareMounts(record, !startedBefore));
    await shareMemory(record, volumes, this.#mountedVolumes, (ref) => this.find(ref));
    requireLinks(record, (ref) => this.findIf(ref));
    const networks = await this.endpoints.begin(container);
    const { filesystems } = volumes;
    const request = { ...(await this.#startRequest(record, attaches, false)), ...networks, filesystems };
    writePoint("start process");
    const supervised = await startWithHooks(this.runtime, request, rootMountpointIn(this.paths.execRoot));
    writePoint("started process");
    const { networking } = record;
    try {
      container.change({ ...startOf(record), pid: supervised.pid, networking, ...counts });
    } catch (error) {
      await supervised.signal(SIGNALS.KILL!); // a process that no row tells of must not stay
      await supervised.gone;
      throw error;
    }
    container.ociConfig = new WeakRef(request.config);
    container.restarts.started();
    this.#publishMounts(record, "mount");
    this.execs.forgetAll(container);
    this.endpoints.started(container);
    container.publish("start");
    undo.move();
    this.#supervise(container, supervised, volumes);
    const { exitKnown } = container;
    for (const [index, socket] of supervised.attached.entries()) attaches[index]?.deliver({ socket, exitKnown });
  }

  /** Calls `use` with the ids of something that has no row. */
  async withIds<T>(guest: Container, use: () => Promise<T>): Promise<T> {
    const { record } = guest;
    guest.remember({ idMappings: this.#userNamespaces.assign(record) });
    this.#userNamespaces.claim(record);
    try {
      return await use();
    } finally {
      this.#userNamespaces.release(record.id);
    }
  }

  /** Assigns ids. The daemon's setting, or a container that it shares with, may be another one since the last start. */
  #assignIds(container: Container): void {
    const { record } = container;
    const idMappings = this.#userNamespaces.assign(record);
    if (sameMappings(idMappings, record.idMappings)) return;
    container.change({ idMappings });
    this.#userNamespaces.claim(record);
  }

  async #startRequest(
    record: ContainerRecord,
    attaches: readonly PendingAttach[],
    dryRun: boolean,
  ): Promise<StartRequest> {
    const paths = this.paths.container(record.id);
    const first = record.startedAt === ZERO_TIME;
    const plan = await this.planner.planStart(record, paths, { first, dryRun });
    const { driver, maxBytes, maxFiles } = parseLogConfig(record.hostConfig.LogConfig);
    // A machine has a console whether or not somebody is at it.
    const terminal = plan.config.process?.terminal ?? false;
    return {
      id: record.id,
      ...plan,
      runDirectory: this.paths.runDirectory(record.id),
      stdio: { terminal, stdin: (record.config.OpenStdin ?? false) || isMachine(record.hostConfig) },
      ...(driver === "none" ? {} : { log: { path: paths.log, maxBytes, maxFiles } }),
      attach: attaches.map(({ plan }) => withHeaders(record, plan)),
    };
  }

  /** Starts a container by its policy: whatever comes of it is seen in the container's state. */
  #startAgain(container: Container): void {
    const restart = container.queue.run(async () => {
      if (!container.restarts.isWaiting || this.isDisposed) return; // somebody has stopped it, or started it
      const { restartCount, manuallyStopped } = container.record;
      await this.#start(container, { restartCount, manuallyStopped });
    });
    this.inBackground(`start container ${container.id} again`, restart);
  }

  #startFailed(container: Container, error: unknown): void {
    const { record } = container;
    const wasWaiting = container.restarts.cancel();
    const { networking } = record;
    const failed = {
      exitCode: exitCodeOfStartError(error),
      error: messageOf(error),
      networking: Endpoints.cleared(networking),
    };
    try {
      rmSync(this.paths.runDirectory(record.id), { recursive: true, force: true });
      container.changeOrLater(failed);
      this.endpoints.end(container, networking, false);
      if (record.hostConfig.AutoRemove) this.#markRemoved(container, true);
    } catch (writeError) {
      container.remember(failed);
      logFailure(`write down the failed start of container ${record.id}`, writeError); // the start's own error matters
    }
    if (wasWaiting) container.notifyExit();
  }

  // --- Exit ---

  /** Records the end of the process from now on. */
  #supervise(container: Container, supervised: Supervised, volumes: VolumesInUse): void {
    container.supervised = supervised;
    container.volumes = volumes;
    watchMachine(container);
    this.#logForwarder.begin(container, this.paths.container(container.id));
    this.#compressLog(container);
    const settle = (record: () => Promise<void> | void) =>
      container.queue.run(() => (this.isDisposed ? undefined : record()));
    container.exitKnown = supervised.exited
      .then(
        (exit) =>
          settle(async () => {
            await this.endpoints.closePorts(container.record);
            this.#exited(container, exit);
          }),
        (error: unknown) => settle(() => this.#lost(container, messageOf(error))),
      )
      .catch((error: unknown) => logFailure(`supervise container ${container.id}`, error));
  }

  #compressLog(container: Container): void {
    this.#logCompressor.begin(container, this.paths.container(container.id).log);
  }

  /** Records an exit. The container's queue is held. */
  #exited(container: Container, exit: ExitRecord): void {
    const { record } = container;
    const isTold = container.isRunning && record.oomKilled; // by whoever watches the cgroup, when it happened
    const end = {
      exitCode: exit.exitCode,
      oomKilled: exit.oomKilled,
      // Ours is when we heard of it; one that nobody wrote down, or that ended before, is the supervisor's.
      startedAt: hasStartedBefore(record.startedAt, exit.finishedAtNs)
        ? record.startedAt
        : formatRfc3339(exit.startedAtNs),
      finishedAt: formatRfc3339(exit.finishedAtNs),
    };
    const machine = isMachine(record.hostConfig);
    const machineEnd = machine && endOfMachine(exit.signal, exit.notified, container.restarts.isCancelled);
    const ending = machine ? endingOf(exit.signal) : undefined;
    this.#settle(container, { ...end, ...(machineEnd && { machineEnd }) }, exit.oomKilled && !isTold, ending);
  }

  /** Records that the supervisor was lost. The container's queue is held. */
  async #lost(container: Container, why: string): Promise<void> {
    const { record } = container;
    try {
      await this.#cleanup(record);
    } catch (error) {
      logFailure(`clean up after container ${record.id}`, error);
    }
    const end = {
      exitCode: LOST_EXIT_CODE,
      ...(isMachine(record.hostConfig) ? { machineEnd: "crash" as const } : {}),
      error: `the container's supervisor was lost: ${why}`,
      finishedAt: formatNow(),
    };
    this.#settle(container, end, false);
  }

  /** The process has ended: writes down how, tells those who wait, removes what was of the run. */
  #settle(container: Container, how: EndOfRun, tellOom: boolean, ending?: Ending): void {
    const { record } = container;
    container.ociConfig = undefined;
    this.execs.forgetUnstarted(container);
    container.volumes?.end(container.supervised?.gone ?? Promise.resolve());
    const { networking } = record;
    const isStopped = container.restarts.isCancelled || ending === "poweroff";
    const isReboot = ending === "reboot" && !isStopped;
    // A machine that was switched off from inside is stopped as if by a user: no policy starts it.
    const manuallyStopped = record.manuallyStopped || ending === "poweroff";
    const run = { ...record, ...how, manuallyStopped };
    const again = isReboot || (!isStopped && wantsRestart(record.hostConfig.RestartPolicy, run));
    // One write in place of two: an AutoRemove container is not to be seen any more once it has ended.
    const isRemoved = Boolean(record.hostConfig.AutoRemove) && !container.isBeingRestarted && !isReboot;
    const end = {
      ...{ ...how, pid: 0, paused: false, manuallyStopped, networking: Endpoints.cleared(networking) },
      restartCount: record.restartCount + (again && !isReboot ? 1 : 0),
    };
    const ranMs = msBetween(run.startedAt, run.finishedAt);
    try {
      const isWritten = container.changeOrLater({ ...end, ...(isRemoved ? REMOVED_WITH_VOLUMES : EXITED) });
      this.endpoints.end(container, networking, true, isReboot);
      if (tellOom) container.publish("oom");
      const execDuration = String(Math.trunc(ranMs / 1000));
      container.publish("die", { execDuration, exitCode: String(record.exitCode) });
      this.#publishMounts(record, "unmount");
      if (isRemoved) this.#removed(container);
      else {
        this.#compressLog(container);
        // Else the exit record stays for the next daemon.
        if (isWritten) this.inBackground(`clear up after container ${record.id}`, this.#removeRunDirectory(container));
      }
    } catch (error) {
      // The exit record stays in the run directory for the next daemon.
      logFailure(`write down the end of container ${record.id}`, error);
      if (record.status !== "removing") container.remember({ ...end, ...EXITED });
    }
    if (again) container.restarts.schedule(ranMs, () => this.#startAgain(container), isReboot);
    container.notifyExit();
  }

  #publishMounts(record: ContainerRecord, action: "mount" | "unmount"): void {
    for (const { volume, destination, readOnly } of record.mountPoints) {
      if (volume === undefined) continue;
      const how = action === "mount" ? { destination, propagation: "", "read/write": `${!readOnly}` } : {};
      this.events.publish("volume", action, volume.name, { container: record.id, driver: "local", ...how });
    }
  }

  async #removeRunDirectory(container: Container): Promise<void> {
    const { supervised } = container;
    await supervised?.gone;
    await container.queue.run(async () => {
      if (container.supervised !== supervised || container.isRunning) return; // started again, and cleared then
      await this.#clearRunDirectory(container.id);
      container.supervised = undefined;
    });
  }

  /** Removes the run directory of a run that has ended. */
  async #clearRunDirectory(id: string): Promise<void> {
    const runDirectory = this.paths.runDirectory(id);
    await runPoststopHooks(this.runtime, id, runDirectory);
    await rm(runDirectory, { recursive: true, force: true });
  }

  async #cleanup(record: ContainerRecord): Promise<void> {
    const config = { ociVersion: "1.2.0", linux: { cgroupsPath: cgroupsPathOf(record) } };
    await this.runtime.cleanup({ id: record.id, config, runDirectory: this.paths.runDirectory(record.id) });
  }

  // --- Rename, remove ---

  rename(container: Container, newName: string): Promise<void> {
    return container.queue.run(() => {
      const { record } = container;
      const name = newName.startsWith("/") ? newName.slice(1) : newName;
      if (name === "") throw new LighterError("invalid", "Neither old nor new names may be empty");
      if (name === record.name)
        throw new LighterError("invalid", "Renaming a container with the same name as its current name");
      if (record.status === "removing") throw markedForRemoval(record.id);
      inContext("Error when allocating new name", () => this.#requireFreeName(parseName(`/${name}`)));
      const oldName = record.name;
      container.change({ name });
      this.#names.delete(oldName);
      this.#names.set(name, container);
      this.endpoints.namesChanged(container);
      container.publish("rename", { oldName: `/${oldName}` });
    });
  }

  /** Removes a link. @throws LighterError "not-found" */
  removeLink(container: Container, alias: string): Promise<void> {
    return container.queue.run(() => {
      const { record } = container;
      const Links = withoutLink(record.hostConfig.Links ?? [], alias);
      if (Links === undefined) throw noSuchContainer(`${record.name}/${alias}`);
      container.change({ hostConfig: { ...record.hostConfig, Links } });
      this.endpoints.openLinks();
    });
  }

  /** Removes a container. Resolves when the name is free and no client sees it any more; its files go in the background. */
  async remove(container: Container, options: { force: boolean; volumes: boolean }): Promise<void> {
    const { record } = container;
    for (;;) {
      const wasRunning = container.isRunning;
      if (container.isActive) {
        if (!options.force) throw cannotRemove(container);
        await killForGood(this, container);
      }
      const isRemoved = await container.queue.run(() => {
        if (record.status === "removing") {
          if (wasRunning && record.hostConfig.AutoRemove) return true; // by its own end, which is what was wanted
          throw markedForRemoval(record.id);
        }
        if (container.isActive) return false; // started in between
        this.#markRemoved(container, options.volumes);
        return true;
      });
      if (isRemoved) return;
    }
  }

  /** Marks a container as removed. Its queue is held and it does not run. */
  #markRemoved(container: Container, removeVolumes: boolean): void {
    container.changeOrLater({ status: "removing", pid: 0, removeVolumes });
    this.#removed(container);
  }

  /** Goes on with the removal of a container whose row says that it is removed. */
  #removed(container: Container): void {
    const { record } = container;
    this.#containers.delete(record.id);
    this.#names.delete(record.name);
    this.endpoints.forgetKept(record.id);
    this.execs.forgetAll(container);
    for (const attach of container.pendingAttaches) attach.deliver(undefined);
    try {
      this.#removeVolumes(record); // now, as whoever asked for the removal may look right after it
    } catch (error) {
      logFailure(`remove the volumes of container ${record.id}`, error); // to be tried once more in the background
    }
    container.publish("destroy");
    container.notifyRemoved();
    this.inBackground(`remove container ${record.id}`, this.#finishRemoval(container));
  }

  #removeVolumes({ removeVolumes, mountPoints }: ContainerRecord): void {
    if (removeVolumes) this.volumes.removeAnonymous(mountPoints);
  }

  /** Finishes a removal. The row goes last: as long as it exists, the next daemon knows what is left to do. */
  async #finishRemoval(container: Container): Promise<void> {
    await container.supervised?.gone;
    await this.#logForwarder.finish(container);
    await this.#logCompressor.finish(container);
    writePoint("remove run directory");
    // In the queue: the end of the run may be removing it at this moment, and must not find half of it gone.
    await container.queue.run(() => this.#clearRunDirectory(container.id));
    writePoint("remove directory");
    await this.#trash.discard(this.paths.container(container.id).directory);
    this.#removeVolumes(container.record);
    this.store.delete(container.id);
    this.#userNamespaces.release(container.id);
  }

  // --- Reconcile ---

  async #reconcile(): Promise<void> {
    const containers = this.store.all().map((record) => new Container(record, this.events, this.store));
    this.networks.open();
    for (const { record } of containers) this.#userNamespaces.claim(record);
    this.volumes.open(containers.flatMap(({ record }) => volumesToKeep(record)));
    for (const container of containers) if (container.record.status !== "removing") this.#register(container);
    await Promise.all(containers.map((container) => this.#reconcileOne(container)));
    await this.execs.reconcile((id) => this.#containers.get(id));
    await this.networks.restore();
    this.endpoints.openLinks();
  }

  /** Ends processes that belong to no known container. */
  async #endUnknown(): Promise<void> {
    const known = new Set(this.store.all().map(({ id }) => this.paths.runName(id)));
    for (const name of readdirSync(this.paths.runDirectories)) {
      if (known.has(name)) continue;
      const directory = join(this.paths.runDirectories, name);
      const found = await this.runtime.reconnect(directory);
      if (found !== "lost" && "gone" in found) {
        await found.signal(SIGNALS.KILL!);
        await found.gone;
      }
      rmSync(directory, { recursive: true, force: true });
      log.error(`container ${name}… is lost: there is no copy of what it was; it was ended`);
    }
  }

  async #reconcileOne(container: Container): Promise<void> {
    const { record } = container;
    if (record.status === "removing") {
      const found = await this.runtime.reconnect(this.paths.runDirectory(record.id));
      if (found === "lost") await this.#cleanup(record);
      else if ("gone" in found) container.supervised = found; // still cleaning up: its files go after it
      this.inBackground(`remove container ${record.id}`, this.#finishRemoval(container));
      return;
    }
    await container.queue.run(() => this.#adopt(container));
  }

  /** Makes the row agree with the process. The container's queue is held. */
  async #adopt(container: Container): Promise<void> {
    const { record } = container;
    const found = await this.runtime.reconnect(this.paths.runDirectory(record.id));
    if (found === "lost") {
      if (container.isRunning) await this.#lost(container, "it died without an exit record");
      // The last daemon died in the middle of a start, and the start with it.
      else {
        if (existsSync(this.paths.runDirectory(record.id))) await this.#cleanup(record);
        this.#clearNetworking(container);
        this.#compressLog(container);
      }
      return;
    }
    if ("exited" in found) {
      // Not running by the row: the last daemon died between the start and its write.
      const running = { ...(container.isRunning ? {} : startOf(record)), pid: found.pid };
      container.remember(running);
      await this.endpoints.adopt(container);
      container.changeOrLater({ ...running, networking: record.networking });
      this.#supervise(container, found, await this.#adoptVolumes(record, found));
      return;
    }
    // The record of a run that is written down already, or of one that is not.
    if (container.isRunning || record.finishedAt !== formatRfc3339(found.finishedAtNs)) this.#exited(container, found);
    else this.#clearNetworking(container);
    // What was said while there was no daemon.
    this.#logForwarder.begin(container, this.paths.container(container.id));
    this.#compressLog(container);
  }

  #adoptVolumes(record: ContainerRecord, supervised: Supervised): Promise<VolumesInUse> {
    const EXISTS = 0;
    return this.#mountedVolumes.adopt(record, () => supervised.signal(EXISTS));
  }

  /** Clears the networks of a start that has failed. */
  #clearNetworking(container: Container): void {
    const { networking } = container.record;
    if (!networking.endpoints.some(({ state }) => state !== undefined)) return;
    container.changeOrLater({ networking: Endpoints.cleared(networking) });
    this.endpoints.end(container, networking, false);
  }

  // --- Background ---

  /** Runs work in the background. `what` is for the log, if it fails. */
  inBackground(what: string, work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => logFailure(what, error))
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}

/** What is known of a process that has ended. */
type EndOfRun = Pick<ContainerRecord, "exitCode" | "finishedAt"> &
  Partial<Pick<ContainerRecord, "oomKilled" | "startedAt" | "error" | "machineEnd">>;

const EXITED = { status: "exited" } as const;
const REMOVED_WITH_VOLUMES = { status: "removing", removeVolumes: true } as const;

/** Returns the fields of a container whose process has just started, apart from what it is given. */
function startOf({ config, health }: ContainerRecord) {
  const ended = { exitCode: 0, error: "", oomKilled: false, paused: false };
  return { ...ended, status: "running", startedAt: formatNow(), health: startingHealth(config, health) } as const;
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
  rmSync(paths.viewDirectories, { recursive: true, force: true }); // of a daemon that died over them
  for (const path of [paths.runDirectories, paths.execDirectories, paths.viewDirectories, paths.stepDirectories])
    make(path, 0o700);
}

/** Returns the volumes that must be kept: a named volume of a container that is being removed may have been removed, too. */
function volumesToKeep({ status, mountPoints }: ContainerRecord): MountPoint[] {
  return status === "removing" ? mountPoints.filter(({ volume }) => volume?.anonymous) : mountPoints;
}

function hasVolume({ mountPoints }: ContainerRecord, name: string): boolean {
  return mountPoints.some(({ volume }) => volume?.name === name);
}

function logFailure(what: string, error: unknown): void {
  log.error(`${what}: ${messageOf(error)}`);
}
