/** Containers as users see them: the engine joins images, configs and the runtime, and keeps the state. */

import { mkdirSync, readFileSync, renameSync, statfsSync, writeFileSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { BUILD_DOWNLOAD_MAX_BYTES } from "../base/limits.ts";
import { log } from "../base/log.ts";
import { helloPath, initPath, launcherPath } from "../embedded.ts";
import { FileWorkers, type Trash } from "../files/mod.ts";
import { ImageStore, installHello, installPause, type RegistryConfig } from "../image/mod.ts";
import { createRuntime, preload, type Runtime } from "../runtime/mod.ts";
import { Builder } from "./build/builder.ts";
import { DEFAULT_GC, type GcSettings } from "./build/gc-policy.ts";
import { CdiRegistry } from "./cdi/registry.ts";
import type { ContainerDefaults, HostFacts, RuntimeTable } from "./config/mod.ts";
import { Engine } from "./engine.ts";
import { thawLeftFrozen } from "./files/freeze.ts";
import { HealthMonitor } from "./health/monitor.ts";
import { openRegistries, type Registries } from "./images/registries.ts";
import { endUnknown, reconcile } from "./life/reconcile.ts";
import { DEFAULT_NETWORK_SETTINGS, type NetworkSettings } from "./networks/settings.ts";
import { setUpAppArmor } from "./plan/apparmor.ts";
import { makeBaseLayer } from "./plan/base-layer.ts";
import { DockerPlanner } from "./plan/docker-planner.ts";
import { hostProbe, readHostFacts } from "./plan/host-facts.ts";
import { type HostNetwork, openHostNetwork } from "./plan/host-network.ts";
import type { PlannerParts } from "./plan/planner.ts";
import { endLeftGuests } from "./process/guests.ts";
import { OomMonitor } from "./process/oom-monitor.ts";
import { freezePaused } from "./process/pause.ts";
import { startAtBoot } from "./process/start-at-boot.ts";
import { Copies } from "./recovery/copies.ts";
import { EnginePaths } from "./state/paths.ts";
import { Reserve } from "./state/reserve.ts";
import { parseRemap, readAccountFiles } from "./userns/mod.ts";

export type { Entitlement } from "../build/mod.ts";
export {
  canonicalName,
  DockerfileError,
  decodeGraph,
  decodeSource,
  encodeGraph,
  type ForeignFrontEnd,
  foreignFrontEnd,
  type InputContext,
  isBuiltIn,
  type LayoutSource,
  type LocalSource,
} from "../build/mod.ts";
export { dashboardPath } from "../embedded.ts";
export { type BodyForm, type JobOutput, measureTrees, type RawBody } from "../files/mod.ts";
export type {
  ContextMemory,
  Image,
  ImageSource,
  LoadedImage,
  LoadProgress,
  Login,
  PullEvent,
  PushedLayerEvent,
  PushOptions,
  RegistryConfig,
  RemoveRecord,
} from "../image/mod.ts";
export {
  connectionError,
  digestOf,
  ImageStore,
  PAUSE_NAME,
  parseMirror,
  pullBeside,
  pullImage,
  pushComposed,
  pushImage,
  pushIndex,
  requirePlatform,
  saveImages,
  TarReader,
} from "../image/mod.ts";
export { systemAuthorities } from "../linux/authorities.ts";
export type { ReadText } from "../linux/cgroup/mod.ts";
export { takeOwnedLock } from "../linux/process/owned-lock.ts";
export { sendDatagram } from "../linux/sys/datagram.ts";
export { lockExclusiveWithin } from "../linux/sys/flock.ts";
export { createMemfd, duplicateFd } from "../linux/sys/memfd.ts";
export { releaseTextPages, residentBytes } from "../linux/sys/text-pages.ts";
export { idleSocketFd } from "../linux/sys/unix-socket.ts";
export { features as runtimeFeatures } from "../runtime/features.ts";
export type { HistoryEvent, PastBuild, RunningBuild } from "./build/build-history.ts";
export type { BuildInputs, BuildRequest, BuildResult } from "./build/build-request.ts";
export type { ServedTree } from "./build/build-sources.ts";
export { compileCacheFilters } from "./build/cache-filters.ts";
export { type CacheRecord, NO_RULES, type PruneRules } from "./build/cache-prune.ts";
export type { BuiltImage, OutputTargets } from "./build/export-build.ts";
export { DEFAULT_GC, type GcSettings } from "./build/gc-policy.ts";
export { receiveTree } from "./build/receive-tree.ts";
export { sendTree } from "./build/send-tree.ts";
export { StepFailed } from "./build/step-failed.ts";
export type { StepTerminal } from "./build/step-shell.ts";
export type { BlobTarget, CacheExport, CacheImport, CachePlace, CacheTarget } from "./cache/cache-request.ts";
export { readCache } from "./cache/import-cache.ts";
export { parseFlag, parseLayerForm } from "./cache/layer-form.ts";
export { DEFAULT_CDI_DIRECTORIES } from "./cdi/registry.ts";
export {
  appArmorProfileOf,
  BUILT_IN_RUNTIMES,
  type ContainerDefaults,
  cgroupParentOf,
  checkContainerDefaults,
  checkRuntime,
  exposedPorts,
  formatPort,
  type HostFacts,
  isMachine,
  isUserDefined,
  LOG_DRIVERS,
  logAttributesOf,
  OWN_RUNTIMES,
  parseUpdateBody,
  RUNTIME_NAME,
  type RuntimeEntry,
  type RuntimeTable,
  readCreateBody,
} from "./config/mod.ts";
export type { Container, WaitCondition } from "./container.ts";
export { readConnectBody, readDisconnectBody } from "./endpoints/bodies.ts";
export { connectToNetwork, disconnectFromNetwork } from "./endpoints/connect.ts";
export { hostGatewayOf } from "./endpoints/host-gateway.ts";
export { describeLinks, linkNames } from "./endpoints/links.ts";
export { dnsNames } from "./endpoints/names.ts";
export { Engine } from "./engine.ts";
export { type EngineEvent, EventBus, type EventType } from "./events.ts";
export { listFiles, readFiles, statFiles, type WriteOptions, writeFiles } from "./files/archive.ts";
export { exportContainer, listChanges } from "./files/container-files.ts";
export type { PathStat } from "./files/file-jobs.ts";
export { lastWritten, measureDue, type Written, writtenBy } from "./files/written.ts";
export { PROBE_OPTIONS } from "./health/probe.ts";
export { lookAtDockerfile } from "./images/check-dockerfile.ts";
export { publishImage } from "./images/image-events.ts";
export { imageUsers } from "./images/image-users.ts";
export {
  type CommitOptions,
  commitContainer,
  type ImportOptions,
  importImage,
  parseNewName,
  tagImage,
} from "./images/make-images.ts";
export { type Described, openRegistries, type Registries } from "./images/registries.ts";
export { createContainer } from "./life/create.ts";
export { explainContainer, listExplanation, traceContainer } from "./life/explain.ts";
export { removeContainer } from "./life/remove.ts";
export { removeLink, renameContainer } from "./life/rename.ts";
export { startContainer } from "./life/run.ts";
export type { BuildContainer } from "./llb/build-container.ts";
export type { ExportedRoot } from "./llb/export-root.ts";
export { RootReader } from "./llb/read-root.ts";
export type { LogEntry } from "./logs/log-entry.ts";
export { type LogQuery, readLogs } from "./logs/read-logs.ts";
export { bridgeOptionsOf } from "./networks/bridge-options.ts";
export { readNetworkBody } from "./networks/create-request.ts";
export type { NetworkUser } from "./networks/networks.ts";
export { isPredefined } from "./networks/predefined.ts";
export { checkNetworkSettings, DEFAULT_NETWORK_SETTINGS, type NetworkSettings } from "./networks/settings.ts";
export {
  type EndpointRecord,
  type EndpointState,
  type GivenPool,
  NETWORK_DRIVERS,
  type NetworkRecord,
} from "./networks/types.ts";
export { type BuildOutput, checkOutput } from "./outputs/output-options.ts";
export { type ProvenanceOptions, parseProvenance } from "./outputs/provenance.ts";
export { readAnatomy } from "./process/anatomy.ts";
export { attach, PendingAttach } from "./process/attach.ts";
export { connectToPort } from "./process/connect-to-port.ts";
export {
  killContainer,
  resizeContainer,
  restartContainer,
  type StopOptions,
  stopContainer,
} from "./process/control.ts";
export type { Exec, ExecRequestOptions } from "./process/exec.ts";
export { FRAME_HEADER_BYTES, FrameReader } from "./process/frame-reader.ts";
export { killTree } from "./process/kill-tree.ts";
export { machineEndOf, machineStateOf, untilRunning } from "./process/machine-state.ts";
export { pauseContainer, unpauseContainer } from "./process/pause.ts";
export { stopForHost } from "./process/shutdown.ts";
export { listProcesses } from "./process/top.ts";
export { updateContainer } from "./process/update.ts";
export { readLayoutImage } from "./sources/layout-image.ts";
export { EnginePaths } from "./state/paths.ts";
export type { PodRecord } from "./state/record.ts";
export { renewLockedFiles } from "./state/take-over.ts";
export {
  type CgroupDetails,
  type ContainerUsage,
  type HostSample,
  KeptFiles,
  listenToStats,
  memoryStat,
  readCgroup,
  readCgroupDetails,
  readUsage,
  type StatsSample,
  sampleHost,
  samplePressure,
  sampleStats,
  workingSetBytes,
} from "./stats/mod.ts";
export type { VolumeRecord } from "./volumes/volume-table.ts";
export { ANONYMOUS_LABEL } from "./volumes/volumes.ts";

interface OpenEngineOptions {
  dataRoot: string;
  execRoot: string;
  /** The servers that stand for a registry, and how far each is trusted. */
  registry?: RegistryConfig;
  /** The defaults of containers that do not say. */
  defaults?: ContainerDefaults;
  /** The ids of containers that do not say: see userns/remap.ts. */
  usernsRemap?: string;
  /** The runtimes in addition to ours. */
  runtimes?: RuntimeTable;
  /** The directories with specs of devices. */
  cdiDirectories?: readonly string[];
  /** What the cache of builds keeps. */
  buildGc?: GcSettings;
  /** The bytes of a file that a build downloads. */
  buildDownloadMaxBytes?: number;
  /** Another runtime than the launcher's, for tests. */
  runtime?: Runtime;
  networkSettings?: NetworkSettings;
  /** True to take back from copies what a lost or damaged database does not know. */
  recover?: boolean;
  /** A replacement for the host's links, rules and ports, for tests. */
  hostNetwork?: HostNetwork;
}

export interface OpenedEngine {
  engine: Engine;
  builder: Builder;
  images: ImageStore;
  registries: Registries;
  host: HostFacts;
  devices: CdiRegistry;
  /** The places of removed files until they are deleted, which begins when each is told to `begin`. */
  trashes: readonly Trash[];
}

/** The magic number of overlayfs. Source: statfs(2). */
const OVERLAYFS_SUPER_MAGIC = 0x794c7630;

/** Opens everything a daemon has below its two directories. @throws LighterError "conflict" if another daemon has. */
export async function openEngine(options: OpenEngineOptions): Promise<OpenedEngine> {
  const paths = new EnginePaths(options.dataRoot, options.execRoot);
  mkdirSync(paths.dataRoot, { recursive: true, mode: 0o710 });
  const { recover = false } = options;
  if (statfsSync(paths.dataRoot).type === OVERLAYFS_SUPER_MAGIC)
    log.warn(
      `"${paths.dataRoot}" is on an overlay: no container can be started on one; give it a volume, or another --data-root`,
    );
  const reserve = new Reserve(paths.reserve);
  const makeRoom = () => reserve.release();
  const workers = new FileWorkers();
  const images = await ImageStore.open(paths.images, { workers, makeRoom, recover });
  const host = { ...readHostFacts(), appArmor: await setUpAppArmor() };
  const runtime = options.runtime ?? launcherRuntime(paths.execRoot);
  await installHello(images, readFileSync(helloPath));
  writeFileIfChanged(paths.init, readFileSync(initPath), 0o755);
  makeBaseLayer(paths.base);
  const devices = new CdiRegistry(options.cdiDirectories);
  const planner = (parts: PlannerParts) =>
    new DockerPlanner({
      ...{ ...parts, paths, images, host, devices, probe: hostProbe },
      ...(options.runtimes === undefined ? {} : { runtimes: options.runtimes }),
      ...(options.defaults === undefined ? {} : { defaults: options.defaults }),
    });
  const userNamespaces = parseRemap(options.usernsRemap ?? "", readAccountFiles());
  const settings = options.networkSettings ?? DEFAULT_NETWORK_SETTINGS;
  const hostNetwork =
    options.hostNetwork ?? openHostNetwork(paths, settings, { removeLink: (index) => runtime.removeLink(index) });
  await endLeftGuests(runtime, paths);
  const engine = new Engine({
    ...{ paths, runtime, planner, userNamespaces, workers, makeRoom, recover },
    networks: { ...hostNetwork, settings },
  });
  if (recover) await endUnknown(engine);
  await reconcile(engine);
  engine.use(reserve);
  const { firewall } = hostNetwork;
  if (firewall !== undefined) engine.use(firewall.watch(() => engine.networks.syncFirewall()));
  thawLeftFrozen(engine);
  await freezePaused(engine);
  engine.use(new HealthMonitor(engine));
  engine.use(new OomMonitor(engine));
  engine.use(new Copies(engine));
  startAtBoot(engine);
  const builder = new Builder(engine, images, {
    gc: options.buildGc ?? DEFAULT_GC,
    downloadMaxBytes: options.buildDownloadMaxBytes ?? BUILD_DOWNLOAD_MAX_BYTES,
  });
  engine.use(builder);
  await builder.recover();
  const trashes = [images.trash, builder.trash, ...engine.trashes];
  return { engine, builder, images, registries: openRegistries(options.registry), host, devices, trashes };
}

/** The id of the image of pods' sandboxes, which is the same for one program. */
let sandboxImageId: string | undefined;

/** Makes sure that the image of pods' sandboxes exists. Resolves with its id. */
export async function installSandboxImage(images: ImageStore): Promise<string> {
  if (sandboxImageId !== undefined && images.isThere(sandboxImageId)) return sandboxImageId;
  sandboxImageId = await installPause(images, readFileSync(initPath));
  return sandboxImageId;
}

function launcherRuntime(execRoot: string): Runtime {
  void preload();
  return createRuntime({ execRoot, launcher: readFileSync(launcherPath) });
}

/** Replaces a file whole: containers may be starting from the file of the last daemon. */
function writeFileIfChanged(path: string, content: Buffer, mode: number): void {
  try {
    if (readFileSync(path).equals(content)) return;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  const temporaryPath = `${path}.new`;
  writeFileSync(temporaryPath, content, { mode, flush: true });
  renameSync(temporaryPath, path);
}
