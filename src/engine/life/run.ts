/** One run of a container: its start, its end, and the next start if its restart policy wants one. */
import { rmSync } from "node:fs";
import { LighterError, messageOf } from "../../base/errors.ts";
import { counter, histograms } from "../../base/metrics.ts";
import { SIGNALS } from "../../base/signals.ts";
import { type Attributes, currentSpan, inSpan } from "../../base/spans.ts";
import { formatNow, formatRfc3339, msBetween, ZERO_TIME } from "../../base/time.ts";
import { writePoint } from "../../base/write-point.ts";
import { type Ending, endingOf, endOfMachine } from "../../machine/mod.ts";
import { rootMountpointIn } from "../../runtime/run-files.ts";
import type { ExitRecord, StartRequest, Supervised } from "../../runtime/types.ts";
import { parseLogConfig } from "../config/log.ts";
import { isMachine } from "../config/mod.ts";
import type { Container } from "../container.ts";
import { logFailure } from "../endpoints/attempt.ts";
import { Endpoints } from "../endpoints/endpoints.ts";
import { requireLinks } from "../endpoints/links.ts";
import type { Engine } from "../engine.ts";
import { markedForRemoval } from "../errors.ts";
import { startingHealth } from "../health/health-state.ts";
import { type PendingAttach, withHeaders } from "../process/attach.ts";
import { LOST_EXIT_CODE } from "../process/exec.ts";
import { startWithHooks } from "../process/hooks.ts";
import { watchMachine } from "../process/machine-state.ts";
import { wantsRestart } from "../process/restarts.ts";
import { exitCodeOfStartError, hasStartedBefore } from "../state/new-record.ts";
import type { ContainerRecord } from "../state/record.ts";
import { sameMappings } from "../userns/id-mappings.ts";
import { shareMemory } from "../volumes/shared-memory.ts";
import type { VolumesInUse } from "../volumes/volumes-in-use.ts";
import { goOnRemoving, markRemoved } from "./removal.ts";
import { cleanUp, clearRunDirectory } from "./run-directory.ts";
import { startInScope } from "./scope.ts";

const restarts = counter("lighter_container_restarts_total", "Starts by restart policies, and of machines that reboot");
const allocations = histograms(
  "lighter_network_allocate_seconds",
  "The time to take a start's addresses, ports, links and rules",
);

/** What is known of a process that has ended. */
type EndOfRun = Pick<ContainerRecord, "exitCode" | "finishedAt"> &
  Partial<Pick<ContainerRecord, "oomKilled" | "startedAt" | "error" | "machineEnd">>;

const EXITED = { status: "exited" } as const;
const REMOVED_WITH_VOLUMES = { status: "removing", removeVolumes: true } as const;

/** Returns the fields of a container whose process has just started, apart from what it is given. */
export function startOf({ config, health }: ContainerRecord) {
  const ended = { exitCode: 0, error: "", oomKilled: false, paused: false };
  return { ...ended, status: "running", startedAt: formatNow(), health: startingHealth(config, health) } as const;
}

/**
 * Starts a container. Resolves when execve(2) has succeeded; false: it runs already. @throws LighterError like `Runtime.start`
 */
export function startContainer(
  engine: Engine,
  container: Container,
  onTrace?: StartRequest["onTrace"],
): Promise<boolean> {
  return container.queue.run(async () => {
    if (container.record.status === "removing") throw markedForRemoval(container.id);
    if (container.record.paused)
      throw new LighterError("conflict", "cannot start a paused container, try unpause instead");
    if (container.isActive) return false;
    container.restarts.reset();
    await startNow(engine, container, { restartCount: 0, manuallyStopped: false }, onTrace);
    return true;
  });
}

/** Starts a container whose queue is held. */
async function startNow(
  engine: Engine,
  container: Container,
  counts: Pick<ContainerRecord, "restartCount" | "manuallyStopped">,
  onTrace?: StartRequest["onTrace"],
): Promise<void> {
  const attaches = [...container.pendingAttaches];
  container.pendingAttaches.clear();
  try {
    await inSpan("start", (span) => {
      span?.set(attributesOf(container));
      return startProcess(engine, container, attaches, counts, onTrace);
    });
  } catch (error) {
    for (const attach of attaches) attach.deliver(undefined);
    startFailed(engine, container, error);
    throw error;
  }
}

/** What spans tell of a container. Source: OpenTelemetry, semantic conventions for containers. */
function attributesOf({ id, record }: Container): Attributes {
  return {
    "container.id": id,
    "container.name": record.name,
    "container.image.name": record.image,
    "container.image.id": record.imageId,
  };
}

async function startProcess(
  engine: Engine,
  container: Container,
  attaches: readonly PendingAttach[],
  counts: Pick<ContainerRecord, "restartCount" | "manuallyStopped">,
  onTrace: StartRequest["onTrace"],
): Promise<void> {
  const { record } = container;
  const startedBefore = record.startedAt !== ZERO_TIME;
  if (startedBefore) {
    await container.supervised?.gone; // its cgroup has our name
    await clearRunDirectory(engine, record);
  }
  assignIds(engine, container);
  using undo = new DisposableStack();
  await inSpan("profile", () => engine.planner.prepareProfile(record));
  const volumes = await inSpan("volumes", async () => {
    const inUse = undo.use(await engine.planner.prepareMounts(record, !startedBefore));
    await shareMemory(record, inUse, engine.mountedVolumes, (ref) => engine.find(ref));
    return inUse;
  });
  requireLinks(record, (ref) => engine.findIf(ref));
  const networkMs = performance.now();
  const networks = await inSpan("network", () => engine.endpoints.begin(container));
  allocations.observe((performance.now() - networkMs) / 1000);
  const { filesystems } = volumes;
  const planned = await inSpan("image", () => startRequest(engine, record, attaches, false));
  const request = { ...planned, ...networks, filesystems, ...(onTrace && { onTrace }) };
  writePoint("start process");
  const supervised = await startInScope(engine.runtime, record, request, (placed) =>
    startWithHooks(engine.runtime, placed, rootMountpointIn(engine.paths.execRoot)),
  );
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
  publishMounts(engine, record, "mount");
  engine.execs.forgetAll(container);
  engine.endpoints.started(container);
  container.publish("start");
  undo.move();
  supervise(engine, container, supervised, volumes);
  const { exitKnown } = container;
  for (const [index, socket] of supervised.attached.entries()) attaches[index]?.deliver({ socket, exitKnown });
}

/** Assigns ids. The daemon's setting, or a container that it shares with, may be another one since the last start. */
function assignIds(engine: Engine, container: Container): void {
  const { record } = container;
  const idMappings = engine.userNamespaces.assign(record);
  if (sameMappings(idMappings, record.idMappings)) return;
  container.change({ idMappings });
  engine.userNamespaces.claim(record);
}

export async function startRequest(
  engine: Engine,
  record: ContainerRecord,
  attaches: readonly PendingAttach[],
  dryRun: boolean,
): Promise<StartRequest> {
  const paths = engine.paths.container(record.id);
  const first = record.startedAt === ZERO_TIME;
  const plan = await engine.planner.planStart(record, paths, { first, dryRun });
  const { driver, maxBytes, maxFiles } = parseLogConfig(record.hostConfig.LogConfig);
  // A machine has a console whether or not somebody is at it.
  const terminal = plan.config.process?.terminal ?? false;
  return {
    id: record.id,
    ...plan,
    runDirectory: engine.paths.runDirectory(record.id),
    isTraced: currentSpan()?.isWanted ?? false,
    stdio: { terminal, stdin: (record.config.OpenStdin ?? false) || isMachine(record.hostConfig) },
    ...(driver === "none" ? {} : { log: { path: paths.log, maxBytes, maxFiles } }),
    // Kubelet rotates it.
    ...(record.pod?.logPath === undefined
      ? {}
      : { log: { path: record.pod.logPath, maxBytes: 0, maxFiles: 1, format: "cri" as const } }),
    attach: attaches.map(({ plan }) => withHeaders(record, plan)),
  };
}

/** Starts a container by its policy: whatever comes of it is seen in the container's state. */
function startAgain(engine: Engine, container: Container): void {
  const restart = container.queue.run(async () => {
    if (!container.restarts.isWaiting || engine.isDisposed) return; // somebody has stopped it, or started it
    restarts.add();
    const { restartCount, manuallyStopped } = container.record;
    await startNow(engine, container, { restartCount, manuallyStopped });
  });
  engine.inBackground(`start container ${container.id} again`, restart);
}

function startFailed(engine: Engine, container: Container, error: unknown): void {
  const { record } = container;
  const wasWaiting = container.restarts.cancel();
  const { networking } = record;
  const failed = {
    exitCode: exitCodeOfStartError(error),
    error: messageOf(error),
    networking: Endpoints.cleared(networking),
  };
  try {
    rmSync(engine.paths.runDirectory(record.id), { recursive: true, force: true });
    container.changeOrLater(failed);
    engine.endpoints.end(container, networking, false);
    if (record.hostConfig.AutoRemove) markRemoved(engine, container, true);
  } catch (writeError) {
    container.remember(failed);
    logFailure(`write down the failed start of container ${record.id}`, writeError); // the start's own error matters
  }
  if (wasWaiting) container.notifyExit();
}

// --- End ---

/** Records the end of the process from now on. */
export function supervise(engine: Engine, container: Container, supervised: Supervised, volumes: VolumesInUse): void {
  container.supervised = supervised;
  container.volumes = volumes;
  watchMachine(container);
  engine.logForwarder.begin(container, engine.paths.container(container.id));
  compressLog(engine, container);
  const settle = (record: () => Promise<void> | void) =>
    container.queue.run(() => (engine.isDisposed ? undefined : record()));
  container.exitKnown = supervised.exited
    .then(
      (exit) =>
        settle(async () => {
          await engine.endpoints.closePorts(container.record);
          recordExit(engine, container, exit);
        }),
      (error: unknown) => settle(() => recordLoss(engine, container, messageOf(error))),
    )
    .catch((error: unknown) => logFailure(`supervise container ${container.id}`, error));
}

export function compressLog(engine: Engine, container: Container): void {
  engine.logCompressor.begin(container, engine.paths.container(container.id).log);
}

/** Records an exit. The container's queue is held. */
export function recordExit(engine: Engine, container: Container, exit: ExitRecord): void {
  const { record } = container;
  const isTold = container.isRunning && record.oomKilled; // by whoever watches the cgroup, when it happened
  const end = {
    exitCode: exit.exitCode,
    // systemd may have removed a scope before its supervisor could look.
    oomKilled: exit.oomKilled || (isTold && record.inScope),
    // Ours is when we heard of it; one that nobody wrote down, or that ended before, is the supervisor's.
    startedAt: hasStartedBefore(record.startedAt, exit.finishedAtNs)
      ? record.startedAt
      : formatRfc3339(exit.startedAtNs),
    finishedAt: formatRfc3339(exit.finishedAtNs),
  };
  const machine = isMachine(record.hostConfig);
  const machineEnd = machine && endOfMachine(exit.signal, exit.notified, container.restarts.isCancelled);
  const ending = machine ? endingOf(exit.signal) : undefined;
  settle(engine, container, { ...end, ...(machineEnd && { machineEnd }) }, exit.oomKilled && !isTold, ending);
}

/** Records that the supervisor was lost. The container's queue is held. */
export async function recordLoss(engine: Engine, container: Container, why: string): Promise<void> {
  const { record } = container;
  try {
    await cleanUp(engine, record);
  } catch (error) {
    logFailure(`clean up after container ${record.id}`, error);
  }
  const end = {
    exitCode: LOST_EXIT_CODE,
    ...(isMachine(record.hostConfig) ? { machineEnd: "crash" as const } : {}),
    error: `the container's supervisor was lost: ${why}`,
    finishedAt: formatNow(),
  };
  settle(engine, container, end, false);
}

/** The process has ended: writes down how, tells those who wait, removes what was of the run. */
function settle(engine: Engine, container: Container, how: EndOfRun, tellOom: boolean, ending?: Ending): void {
  const { record } = container;
  container.ociConfig = undefined;
  engine.execs.forgetUnstarted(container);
  container.volumes?.end(container.supervised?.gone ?? Promise.resolve());
  const { networking } = record;
  const isStopped = container.restarts.isCancelled || ending === "poweroff";
  const isReboot = ending === "reboot" && !isStopped;
  // A machine that was switched off from inside is stopped as if by a user: no policy starts it.
  const isSwitchedOff = ending === "poweroff" && !container.restarts.endsWithHost;
  const manuallyStopped = record.manuallyStopped || isSwitchedOff;
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
    engine.endpoints.end(container, networking, true, isReboot);
    if (tellOom) container.publish("oom");
    const execDuration = String(Math.trunc(ranMs / 1000));
    container.publish("die", { execDuration, exitCode: String(record.exitCode) });
    publishMounts(engine, record, "unmount");
    if (isRemoved) goOnRemoving(engine, container);
    else {
      compressLog(engine, container);
      // Else the exit record stays for the next daemon.
      if (isWritten)
        engine.inBackground(`clear up after container ${record.id}`, removeRunDirectory(engine, container));
    }
  } catch (error) {
    // The exit record stays in the run directory for the next daemon.
    logFailure(`write down the end of container ${record.id}`, error);
    if (record.status !== "removing") container.remember({ ...end, ...EXITED });
  }
  if (again) container.restarts.schedule(ranMs, () => startAgain(engine, container), isReboot);
  container.notifyExit();
}

function publishMounts(engine: Engine, record: ContainerRecord, action: "mount" | "unmount"): void {
  for (const { volume, destination, readOnly } of record.mountPoints) {
    if (volume === undefined) continue;
    const how = action === "mount" ? { destination, propagation: "", "read/write": `${!readOnly}` } : {};
    engine.events.publish("volume", action, volume.name, { container: record.id, driver: "local", ...how });
  }
}

async function removeRunDirectory(engine: Engine, container: Container): Promise<void> {
  const { supervised } = container;
  await supervised?.gone;
  await container.queue.run(async () => {
    if (container.supervised !== supervised || container.isRunning) return; // started again, and cleared then
    await clearRunDirectory(engine, container.record);
    container.supervised = undefined;
  });
}
