/** Plans creations, starts and execs of containers whose images are in the store. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { PASSWD_MAX_BYTES } from "../../base/limits.ts";
import { ZERO_TIME } from "../../base/time.ts";
import { type ImageStore, readFileInLayers, requirePlatform, resolveGroup, resolveUser } from "../../image/mod.ts";
import { labelsOfImage, NOTIFY_NAME } from "../../machine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciConfig, OciMount, OciProcess, VolumeMount } from "../../spec/oci-runtime.ts";
import { parsePlatform } from "../../spec/platform.ts";
import { injectEdits } from "../cdi/inject.ts";
import type { CdiRegistry } from "../cdi/registry.ts";
import { requestedDevices } from "../cdi/requests.ts";
import {
  appArmorProfileOf,
  applyDefaults,
  buildExecProcess,
  buildOciConfig,
  type ContainerDefaults,
  type HostFacts,
  type HostProbe,
  isMachine,
  isNvidiaRuntime,
  type MountPoint,
  type NetworkFacts,
  NO_DEFAULTS,
  needsLimitsAbove,
  type Peer,
  type Peers,
  parseCreateBody,
  parseLink,
  parseNetworkMode,
  peerReferences,
  planAskedMounts,
  planEtcFiles,
  planEtcMounts,
  prepareContainer,
  type ResolvedUser,
  type RuntimeTable,
  seesOwnLimits,
} from "../config/mod.ts";
import type { Container } from "../container.ts";
import { hasIpv6, ownHosts, readHostEtcFiles, usesResolver } from "../endpoints/etc-files.ts";
import { hostGateway } from "../endpoints/host-gateway.ts";
import { type LinkedContainer, linkHosts, linksOf, linkVariables } from "../endpoints/links.ts";
import { cannotJoinIpc, cannotJoinNetwork, cannotJoinPids } from "../errors.ts";
import { prepareVolume } from "../files/volume-content.ts";
import type { ContainerPaths, EnginePaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { toHostId } from "../userns/id-mappings.ts";
import { imageOfMount, prepareImage } from "../volumes/image-mounts.ts";
import { hasHostMemory } from "../volumes/shared-memory.ts";
import { VolumesInUse } from "../volumes/volumes-in-use.ts";
import { ensureProfile } from "./apparmor.ts";
import { prepareBindSource } from "./bind-source.ts";
import { offsetsFromNow } from "./machine-clocks.ts";
import { planMachineFiles, writeHostFiles } from "./machine-files.ts";
import { readSecrets, withoutMachineSecrets } from "./machine-secrets.ts";
import { planPatiently } from "./patient-probe.ts";
import type { CreateOptions, CreatePlan, ExecOptions, Planner, PlannerParts, StartPlan } from "./planner.ts";
import { groupsOfPod, withAmbient, withPodLimits, withPodMounts } from "./pod-plan.ts";

interface DockerPlannerOptions extends PlannerParts {
  paths: EnginePaths;
  images: ImageStore;
  host: HostFacts;
  probe: HostProbe;
  /** The defaults of containers that do not say. */
  defaults?: ContainerDefaults;
  runtimes?: RuntimeTable;
  devices: CdiRegistry;
}

/** The planner for containers of the image store, on this host. */
export class DockerPlanner implements Planner {
  readonly #paths: EnginePaths;
  readonly #images: ImageStore;
  readonly #host: HostFacts;
  readonly #probe: HostProbe;
  readonly #defaults: ContainerDefaults;
  readonly #runtimes: RuntimeTable;
  readonly #devices: CdiRegistry;
  /**
   * The users of images, by image and the names asked for: an image's files do not change, and reading them is most of a start's
   * planning.
   */
  readonly #usersOfImages = new Map<string, ResolvedUser>();
  readonly #parts: PlannerParts;

  constructor(options: DockerPlannerOptions) {
    this.#paths = options.paths;
    this.#images = options.images;
    this.#host = options.host;
    this.#probe = options.probe;
    this.#defaults = options.defaults ?? NO_DEFAULTS;
    this.#runtimes = options.runtimes ?? {};
    this.#devices = options.devices;
    this.#parts = options;
  }

  async planCreate(
    body: unknown,
    id: string,
    { platform, shallowReadOnly = false, hostCgroupns = false, pod }: CreateOptions,
  ): Promise<CreatePlan> {
    const { config: asked, hostConfig, endpoints } = parseCreateBody(body);
    const { config, secrets } = withoutMachineSecrets(asked, hostConfig);
    if (Object.keys(config).length === 0)
      throw new LighterError("invalid", "config cannot be empty in order to create a container");
    const name = config.Image ?? "";
    const wanted = platform ? parsePlatform(platform) : undefined;
    const image = name === "" ? undefined : this.#images.get(name);
    if (image !== undefined) {
      if (wanted !== undefined) requirePlatform(name, image.document, wanted);
      this.#images.markUsed(image.id);
    }
    const request = {
      id,
      config,
      hostConfig: this.#withPeerIds(applyDefaults(hostConfig, this.#defaults, { ...this.#host, hostCgroupns })),
      endpoints,
      image: image && { ...image.document.config, Labels: labelsOfImage(image.document.config.Labels ?? {}) },
    };
    const context = {
      host: this.#host,
      runtimes: this.#runtimes,
      volumePath: (volume: string) => join(this.#paths.volumes, volume, "_data"),
      newVolumeName: randomId,
      dataRoot: this.#paths.dataRoot,
      // A scheduler of Kubernetes knows its own least.
      leastMemoryBytes: pod === undefined ? undefined : 0,
      shallowReadOnly,
      mountPointsOf: (ref: string) => this.#parts.containers.find(ref).record.mountPoints,
      imageOf: (image: string, part: string) => imageOfMount(this.#images, image, part),
    };
    const prepared = await this.#plan((probe) => prepareContainer(request, { ...context, probe }));
    if (image !== undefined) this.#images.get(image.id); // it may have been removed while a host path was waited for
    return {
      config: prepared.config,
      hostConfig: prepared.hostConfig,
      mountPoints: prepared.mountPoints,
      endpoints: prepared.endpoints,
      inScope: this.#defaults.cgroupDriver === "systemd",
      warnings: prepared.warnings,
      image: name,
      imageId: image?.id ?? "",
      secrets,
    };
  }

  #plan<T>(plan: (probe: HostProbe) => T): Promise<T> {
    return planPatiently({ probe: this.#probe, workers: this.#parts.workers }, plan);
  }

  /**
   * Replaces names of other containers by ids: a name may go to another container before the start. A container whose network is
   * to be joined may come until then.
   */
  #withPeerIds(hostConfig: DockerHostConfig): DockerHostConfig {
    const { network, pid, ipc } = peerReferences(hostConfig);
    const mode = (ref: string) => `container:${this.#findNamed(ref).id}`;
    const owner = network === undefined ? undefined : this.#parts.containers.findIf(network);
    return {
      ...hostConfig,
      ...(owner === undefined ? {} : { NetworkMode: `container:${owner.id}` }),
      ...(pid === undefined ? {} : { PidMode: mode(pid) }),
      ...(ipc === undefined ? {} : { IpcMode: mode(ipc) }),
      ...this.#withLinkIds(hostConfig),
    };
  }

  /**
   * Finds a container for a creation. The error is not "not-found", which would tell clients that the image is missing: they
   * would pull it.
   */
  #findNamed(ref: string): Container {
    try {
      return this.#parts.containers.find(ref);
    } catch (error) {
      throw new LighterError("invalid", messageOf(error), { cause: error });
    }
  }

  /** Replaces names in links by ids. On user-defined networks they stay names, which nobody needs to have so far. */
  #withLinkIds(hostConfig: DockerHostConfig): DockerHostConfig {
    const { kind } = parseNetworkMode(hostConfig.NetworkMode);
    if ((hostConfig.Links ?? []).length === 0 || (kind !== "bridge" && kind !== "none")) return {};
    const withId = (text: string) => {
      const { name, alias } = parseLink(text);
      return `${this.#findLinked(name).id}:${alias}`;
    };
    return { Links: hostConfig.Links!.map(withId) };
  }

  #findLinked(name: string): Container {
    let linked: Container;
    try {
      linked = this.#parts.containers.find(name);
      linked = this.#networkOwner(linked.record.hostConfig) ?? linked;
    } catch (error) {
      throw new LighterError("invalid", `could not get container for ${name}: ${messageOf(error)}`, { cause: error });
    }
    if (linked.record.hostConfig.NetworkMode === "host")
      throw new LighterError(
        "invalid",
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    return linked;
  }

  #linksOf(record: ContainerRecord): LinkedContainer[] {
    return linksOf(record, (ref) => this.#parts.containers.findIf(ref));
  }

  async planStart(
    record: ContainerRecord,
    paths: ContainerPaths,
    options: { first: boolean; dryRun: boolean },
  ): Promise<StartPlan> {
    const { config, hostConfig } = record;
    const view = seesOwnLimits(config, hostConfig);
    const mountPoints = [...withPodMounts(this.#asMounted(record.mountPoints), record.pod)];
    const layers = this.#images.layersOf(record.imageId);
    const peers = options.dryRun ? fakePeers(hostConfig, process.pid) : this.#findPeers(record);
    const user = asSystemError(() =>
      this.#resolveUser(record, options.first ? undefined : paths.upper, config.User ?? ""),
    );
    const etcFiles = this.#etcFilesOf(hostConfig, paths);
    const secrets = options.dryRun ? undefined : readSecrets(record, paths);
    if (!options.dryRun) {
      this.#images.markUsed(record.imageId);
      if (options.first) makeDirectories(paths, layers.root);
      if (isMachine(hostConfig)) writeHostFiles(record, paths, secrets);
      else if (etcFiles === paths) writeEtcFiles(record, paths, this.#networkFacts(record));
    }
    const input = {
      id: record.id,
      inScope: record.inScope,
      container: { config, hostConfig, mountPoints },
      user,
      files: { ...etcFiles, host: paths.host, bootId: paths.bootId, init: this.#paths.init },
      peers,
      linkVariables: linkVariables(record.name, this.#linksOf(record)),
      host: this.#host,
      idMappings: record.idMappings,
      timeOffsets: view ? offsetsFromNow(this.#host) : undefined,
    };
    const ociConfig = await this.#plan((probe) => {
      const built = withPodLimits(buildOciConfig({ ...input, probe }), record.pod);
      const withDevices = this.#withDevices(built, record, probe);
      return {
        ...withDevices,
        process: withAmbient(withDevices.process!, record.pod),
        mounts: this.#withKinds(withDevices.mounts ?? [], probe),
      };
    });
    const ofMachine = isMachine(hostConfig)
      ? {
          files: planMachineFiles(record, this.#images, this.#networkFacts(record), { first: options.first, secrets }),
          notifySocket: join(paths.host, NOTIFY_NAME),
        }
      : {};
    const limitsAbove = needsLimitsAbove(hostConfig, record.idMappings !== null);
    return { config: ociConfig, view, limitsAbove, ...ofMachine, ...this.#rootOf(record, paths) };
  }

  /** Adds the kind of source to binds of foreign paths; for our own paths the runtime finds it out by itself. */
  #withKinds(mounts: readonly OciMount[], probe: HostProbe): VolumeMount[] {
    const roots = [this.#paths.dataRoot, this.#paths.execRoot];
    const isOurs = (path: string) => roots.some((root) => path.startsWith(`${root}/`));
    return mounts.map((mount: VolumeMount) => {
      const { type, source = "", part, filesystem } = mount;
      if (type !== "bind" || part !== undefined || filesystem !== undefined || isOurs(source)) return mount;
      return { ...mount, kind: kindOfSource(probe.fileType(source)) };
    });
  }

  #withDevices(plain: OciConfig, { config, hostConfig, idMappings }: ContainerRecord, probe: HostProbe): OciConfig {
    const isNvidia = isNvidiaRuntime(hostConfig.Runtime ?? "", this.#runtimes);
    const names = requestedDevices(config, hostConfig, isNvidia, (kind) => this.#devices.has(kind));
    if (names.length === 0) return plain;
    return injectEdits(plain, this.#devices.resolve(names), probe, idMappings !== null);
  }

  #networkFacts(record: ContainerRecord): NetworkFacts {
    return {
      hosts: [...linkHosts(this.#linksOf(record)), ...ownHosts(record)],
      usesResolver: usesResolver(record),
      ipv6: hasIpv6(record),
      hostGateway: () => hostGateway(this.#parts.networks),
    };
  }

  /** Returns the paths of the files in /etc; a container in another's network uses that one's. */
  #etcFilesOf(hostConfig: DockerHostConfig, own: ContainerPaths): ContainerPaths {
    const owner = this.#networkOwner(hostConfig);
    return owner === undefined ? own : this.#paths.container(owner.id);
  }

  /** Returns the container whose network this one has, which may be joined by way of others; undefined: its own. */
  #networkOwner(hostConfig: DockerHostConfig): Container | undefined {
    const passed = new Set<Container | undefined>();
    let owner: Container | undefined;
    for (let { network } = peerReferences(hostConfig); network !== undefined; ) {
      owner = this.#parts.containers.find(network);
      if (passed.has(owner)) throw cannotJoinItself();
      passed.add(owner);
      ({ network } = peerReferences(owner.record.hostConfig));
    }
    return owner;
  }

  #findPeers({ hostConfig, id, pod }: ContainerRecord): Peers {
    const find = (ref: string | undefined, error: (id: string) => LighterError): Peer | undefined => {
      if (ref === undefined) return undefined;
      const { record } = this.#parts.containers.find(ref);
      if (record.id === id) throw cannotJoinItself();
      if (record.status !== "running") throw error(record.id);
      return { pid: record.pid };
    };
    const { network, pid, ipc } = peerReferences(hostConfig);
    const joined = find(network, cannotJoinNetwork);
    const hostname = this.#networkOwner(hostConfig)?.record.config.Hostname ?? "";
    const donor = find(ipc, cannotJoinIpc);
    const isHost = donor !== undefined && hasHostMemory({ hostConfig }, (ref) => this.#parts.containers.find(ref));
    return definedPeers({
      network: joined && { ...joined, hostname },
      pid: find(pid, cannotJoinPids),
      ipc: donor && { ...donor, isHost },
      uts: find(pod?.sandboxId, cannotJoinNetwork),
    });
  }

  /** Those whose namespaces a running container has joined long ago: they may be gone. */
  #pastPeers({ hostConfig, pid }: ContainerRecord): Peers {
    const { network, ...others } = fakePeers(hostConfig, pid);
    return network === undefined
      ? others
      : { ...others, network: { ...network, hostname: this.#pastHostname(hostConfig) } };
  }

  #pastHostname(hostConfig: DockerHostConfig): string {
    try {
      return this.#networkOwner(hostConfig)?.record.config.Hostname ?? "";
    } catch {
      return ""; // a peer has been removed
    }
  }

  async prepareProfile({ hostConfig }: ContainerRecord): Promise<void> {
    const name = appArmorProfileOf(hostConfig, this.#host);
    if (name !== undefined) await ensureProfile(name);
  }

  async prepareMounts(record: ContainerRecord, first: boolean): Promise<VolumesInUse> {
    const { mountedVolumes: mounted, workers } = this.#parts;
    const preparation = { images: this.#images, workers, probe: this.#probe, mounted, record, first };
    using undo = new DisposableStack();
    const inUse = undo.use(new VolumesInUse());
    for (const point of record.mountPoints)
      if (point.type === "volume") await prepareVolume({ ...preparation, inUse }, point);
      else if (point.image !== undefined) await prepareImage({ ...preparation, inUse }, point.image);
      else if (point.createSource) await prepareBindSource(workers, point.source);
    undo.move();
    return inUse;
  }

  /** Points volumes to where our own process finds their file systems, instead of their directories. */
  #asMounted(points: readonly MountPoint[]): MountPoint[] {
    return points.map((point) => {
      const source = this.#parts.mountedVolumes.rootPathOf(point.volume?.name ?? "");
      return source === undefined ? point : { ...point, source };
    });
  }

  async planFiles(record: ContainerRecord, paths: ContainerPaths): Promise<StartPlan> {
    makeDirectories(paths, this.#images.layersOf(record.imageId).root);
    // A tmpfs is empty as long as nothing runs, and an image is nobody's to change.
    const points = this.#asMounted(record.mountPoints).filter(({ type }) => type !== "tmpfs" && type !== "image");
    const { idMappings } = record;
    const asked = await this.#plan((probe) =>
      this.#withKinds(planAskedMounts(points, probe, idMappings !== null), probe),
    );
    const mounts = [...asked, ...this.#lastEtcFiles(record, paths, asked)].map((mount) => ({
      ...mount,
      options: [...(mount.options ?? []), "rprivate"],
    }));
    return {
      config: {
        ociVersion: "1.2.0",
        // The working directory exists before the first start: files can be copied into it.
        process: { args: ["/"], cwd: record.config.WorkingDir || "/" },
        root: { path: "", ...(record.hostConfig.ReadonlyRootfs ? { readonly: true } : {}) },
        mounts,
        linux:
          idMappings === null
            ? { namespaces: [{ type: "mount" }] }
            : {
                namespaces: [{ type: "mount" }, { type: "user" }],
                uidMappings: idMappings.uids,
                gidMappings: idMappings.gids,
              },
      },
      ...this.#rootOf(record, paths),
    };
  }

  /** Returns the files in /etc that the container had while it ran. In another's network they are that one's. */
  #lastEtcFiles(record: ContainerRecord, paths: ContainerPaths, asked: readonly OciMount[]): OciMount[] {
    if (record.startedAt === ZERO_TIME || isMachine(record.hostConfig)) return [];
    if (peerReferences(record.hostConfig).network !== undefined) return [];
    writeEtcFiles(record, paths, this.#networkFacts(record));
    return planEtcMounts(paths, new Set(asked.map(({ destination }) => destination)), []);
  }

  #rootOf(
    { imageId, idMappings }: ContainerRecord,
    { directory, upper, work, isVolatile = false }: ContainerPaths,
  ): Pick<StartPlan, "rootfs" | "idmappedDirectories"> {
    const basePath = this.#paths.base;
    const rootfs = this.#images.mountsFor(imageId, { upperPath: upper, workPath: work, basePath, isVolatile });
    if (idMappings === null) return { rootfs };
    return { rootfs, idmappedDirectories: [this.#images.layersPath, basePath, directory] };
  }

  /** Resolves a user. `upper`: the container's own files, which may differ from the image's once it has run. */
  #resolveUser(record: ContainerRecord, upper: string | undefined, user: string): ResolvedUser {
    const groups = record.hostConfig.GroupAdd ?? [];
    const { pod } = record;
    const key = JSON.stringify([record.imageId, user, groups, pod && (pod.groups ?? "merge")]);
    const known = upper === undefined ? this.#usersOfImages.get(key) : undefined;
    if (known !== undefined) return known;
    const { lowerDirs } = this.#images.layersOf(record.imageId);
    const layers = upper === undefined ? lowerDirs : [upper, ...lowerDirs];
    const read = (path: string) => readFileInLayers(layers, path, PASSWD_MAX_BYTES)?.toString("utf8") ?? "";
    const groupText = read("/etc/group");
    const passwdText = read("/etc/passwd");
    const byName = (name: string) => resolveUser(passwdText, groupText, name);
    const resolved = pod === undefined ? byName(user) : groupsOfPod(pod, byName(user), user, byName);
    const added = groups.map((group) => resolveGroup(groupText, group));
    const withGroups = { ...resolved, additionalGids: [...resolved.additionalGids, ...added] };
    if (upper !== undefined) return withGroups;
    if (this.#usersOfImages.size >= USERS_KEPT) this.#usersOfImages.clear(); // each step of a build has an image of its own
    this.#usersOfImages.set(key, withGroups);
    return withGroups;
  }

  planRunning(record: ContainerRecord, paths: ContainerPaths): OciConfig {
    const { config, hostConfig } = record;
    return buildOciConfig({
      id: record.id,
      inScope: record.inScope,
      container: { config, hostConfig: { ...hostConfig, ...NO_HOST_PATHS }, mountPoints: [] },
      user: { uid: 0, gid: 0, additionalGids: [], home: "/" }, // an exec has a user of its own
      files: { ...paths, init: this.#paths.init },
      peers: this.#pastPeers(record),
      host: this.#host,
      probe: this.#probe,
      idMappings: record.idMappings,
    });
  }

  findUser(record: ContainerRecord, { upper }: ContainerPaths, user: string): ResolvedUser {
    return this.#resolveUser(record, upper, user);
  }

  planExec(record: ContainerRecord, paths: ContainerPaths, config: OciConfig, exec: ExecOptions): OciProcess {
    const planned = buildExecProcess({
      container: { oci: config, config: record.config, hostConfig: record.hostConfig },
      exec,
      linkVariables: linkVariables(record.name, this.#linksOf(record)),
      user: this.#resolveUser(record, paths.upper, exec.User || record.config.User || ""),
      capabilities: this.#host.capabilities,
    });
    return withAmbient(planned, record.pod);
  }
}

const USERS_KEPT = 1000;

function kindOfSource(type: ReturnType<HostProbe["fileType"]>): NonNullable<VolumeMount["kind"]> {
  if (type === undefined) return "missing";
  return type === "directory" ? "directory" : "file";
}

/** A running container has what these fields named, whether it still exists or not. */
const NO_HOST_PATHS = {
  Devices: [],
  BlkioWeightDevice: [],
  BlkioDeviceReadBps: [],
  BlkioDeviceWriteBps: [],
  BlkioDeviceReadIOps: [],
  BlkioDeviceWriteIOps: [],
} satisfies DockerHostConfig;

function cannotJoinItself(): LighterError {
  return new LighterError("internal", "cannot join own network");
}

function definedPeers(peers: { [K in keyof Peers]: Peers[K] | undefined }): Peers {
  return Object.fromEntries(Object.entries(peers).filter(([, peer]) => peer !== undefined));
}

function fakePeers(hostConfig: DockerHostConfig, pid: number): Peers {
  const { network, pid: pidRef, ipc } = peerReferences(hostConfig);
  const peer = (ref: string | undefined) => (ref === undefined ? undefined : { pid });
  return definedPeers({ network: peer(network), pid: peer(pidRef), ipc: peer(ipc) });
}

/** Makes the directories; also completes a start that was cut off. `root`: the image's "/", which the upper directory covers. */
function makeDirectories(paths: ContainerPaths, root: { mode: number; uid: number; gid: number }): void {
  makeDirectory(paths.directory, 0o700);
  makeDirectory(paths.upper, root.mode);
  makeDirectory(paths.work, 0o700);
  chmodSync(paths.upper, root.mode); // mkdir(2) heeds the umask
  if (root.uid !== 0 || root.gid !== 0) chownSync(paths.upper, root.uid, root.gid);
}

function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

/** Writes the files in /etc, which belong to the container's root, who may change them. */
function writeEtcFiles(
  { config, hostConfig, idMappings }: ContainerRecord,
  paths: ContainerPaths,
  network: NetworkFacts,
): void {
  const texts = planEtcFiles(config, hostConfig, readHostEtcFiles(), network);
  makeDirectory(paths.runDirectory, 0o700);
  for (const [path, content] of [
    [paths.hosts, texts.hosts],
    [paths.hostname, texts.hostname],
    [paths.resolvConf, texts.resolvConf],
  ] as const) {
    writeFileSync(path, content);
    if (idMappings !== null) chownSync(path, toHostId(0, idMappings.uids, "uid"), toHostId(0, idMappings.gids, "gid"));
  }
}

/**
 * Turns errors about users into errors of the system: a start asks for nothing, so a user that its image lacks is not the
 * client's error by then.
 */
function asSystemError<T>(resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof LighterError && error.code === "invalid")) throw error;
    throw new LighterError("internal", error.message, { ...error.detail, cause: error });
  }
}
