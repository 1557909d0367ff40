/** Decides what a start does, from its request and the facts about the host, before any op is made. */
import { assert } from "../../base/assert.ts";
import { LighterError } from "../../base/errors.ts";
import { type CgroupPlan, delegatedPaths, planCgroup } from "../../linux/cgroup/mod.ts";
import { ATTR } from "../../linux/mount/options.ts";
import type { OciConfig, OciProcess } from "../../spec/oci-runtime.ts";
import { type OwnCgroup, planOwnCgroup, withBuiltinDevices } from "../cgroup.ts";
import { type NodeOrigin, nodeOrigin } from "../devices.ts";
import type { HostFacts } from "../host-facts.ts";
import { type HostSource, type MappedLate, planIdmappedRoot } from "../idmap.ts";
import { planIntelRdt, type RdtPlan } from "../intel-rdt.ts";
import { mountLabelOf, needsLabels } from "../labels.ts";
import { type PlannedMount, planMounts } from "../mounts/plan.ts";
import { hostSources, mappedLate, readonlyToLock } from "../mounts/sources.ts";
import { type NamespacePlan, planNamespaces, writesProc } from "../namespaces.ts";
import type { NetDevice } from "../net-devices.ts";
import { type PlannedSysctl, type ProcNeeds, planSysctls } from "../proc.ts";
import { checkUser } from "../process.ts";
import { listenerPathOf } from "../seccomp-listener.ts";
import { namespaceFdOf } from "../shared-filesystems.ts";
import { type CarriedFds, carriedFds } from "../stdio.ts";
import type { StartRequest } from "../types.ts";

/** The functions for requests with interfaces, loaded only when one has any. */
export type Networking = typeof import("../network.ts") & typeof import("../net-devices.ts");

export function isNetworked({ network, config }: StartRequest): boolean {
  return network !== undefined || config.linux?.netDevices !== undefined;
}

export interface StartPlan {
  request: StartRequest;
  host: HostFacts;
  config: OciConfig;
  process: OciProcess;
  namespaces: NamespacePlan;
  /** How init comes into a user namespace other than the host's. */
  userNamespace: "created" | "joined" | undefined;
  mounts: readonly PlannedMount[];
  /** Those of them that the container's root must not make writable. */
  locked: ReadonlySet<PlannedMount>;
  /** Copies of mounts, for mounts and for the root, that only the host's side can make. */
  sources: readonly HostSource[];
  idmappedRoot: readonly HostSource[];
  /** Mounts whose owners are mapped once their source exists. */
  mappedLate: readonly MappedLate[];
  nodes: NodeOrigin;
  /** True if the host's side mounts the root, in init's mount namespace. */
  rootByHost: boolean;
  /** True if the launcher holds the root, so that its file system outlives the process. */
  holdsRoot: boolean;
  /** The container's cgroup, whoever makes it, and the part that the program makes. */
  cgroup: CgroupPlan | undefined;
  ownCgroup: OwnCgroup | undefined;
  /** What of it is the container's own, to divide it further. */
  delegated: readonly string[];
  rdt: RdtPlan | undefined;
  sysctls: readonly PlannedSysctl[];
  labels: boolean;
  procNeeds: ProcNeeds;
  listenerPath: string | undefined;
  networking: Networking | undefined;
  netDevices: readonly NetDevice[];
  fds: CarriedFds | undefined;
}

/**
 * Plans a start. Pure, apart from what `host` reads.
 * @param networking The functions that make interfaces, if the request has any.
 * @throws LighterError ("invalid"/"not-supported") for a config that cannot be honoured; it names the field.
 */
export function planStart(request: StartRequest, host: HostFacts, networking?: Networking): StartPlan {
  const { config } = request;
  const { process } = config;
  if (!process) throw new LighterError("invalid", "config.process is missing");
  checkUser(process);
  const namespaces = planNamespaces(config);
  const mounts = planMounts(config, mountLabelOf(host, config.linux));
  const cgroup = config.linux?.cgroupsPath
    ? planCgroup(host.cgroups, config.linux.cgroupsPath, withBuiltinDevices(config.linux.resources))
    : undefined;
  const userNamespace = namespaces.created.has("user")
    ? "created"
    : namespaces.joined.has("user")
      ? "joined"
      : undefined;
  const sources = hostSources(mounts, request.runDirectory, (index) => namespaceFdOf(request, index));
  const idmappedRoot = userNamespace ? planIdmappedRoot(config, request.idmappedDirectories) : [];
  const late = mappedLate(mounts);
  const holdsRoot = request.rootfs.length > 0 && !request.handOver && !request.placeInCgroup;
  // From an init that needs the host's side for these mounts, that side hears nothing else.
  if (userNamespace && late[0] && (request.network || request.placeInCgroup || holdsRoot))
    throw new LighterError("not-supported", `${late[0].why}: an idmapped source in the root, in a user namespace`);
  const isPlain = !userNamespace && !namespaces.created.has("cgroup");
  const rdt = planIntelRdt(config, host, request.id);
  const sysctls = planSysctls(config, namespaces, host);
  assert(!isNetworked(request) || networking !== undefined, "what makes interfaces is loaded");
  const netDevices = networking?.planNetDevices(config, request.netDeviceAddresses) ?? [];
  checkNetwork(request, namespaces);
  const labels = needsLabels(host, process);
  return {
    request,
    host,
    config,
    process,
    namespaces,
    userNamespace,
    mounts,
    locked: readonlyToLock(config, mounts),
    sources,
    idmappedRoot,
    mappedLate: late,
    nodes: request.filesOnly ? "bound" : nodeOrigin(request, host, userNamespace),
    rootByHost: idmappedRoot.length > 0,
    holdsRoot,
    cgroup,
    ownCgroup:
      cgroup && !request.placeInCgroup ? planOwnCgroup(cgroup, isPlain, request.limitsAbove ?? false) : undefined,
    delegated: request.placeInCgroup ? [] : planDelegation(config, namespaces, mounts, host),
    rdt,
    sysctls,
    labels,
    procNeeds: {
      sysctls: sysctls.length > 0 || (request.network?.interfaces.length ?? 0) > 0,
      processes:
        labels ||
        process.oomScoreAdj !== undefined ||
        writesProc(config, namespaces) ||
        [...sources, ...idmappedRoot, ...late].some(({ owners }) => owners !== undefined),
    },
    listenerPath: listenerPathOf(config.linux?.seccomp),
    networking,
    netDevices,
    fds: carriedFds(request),
  };
}

/**
 * In a user namespace and a cgroup namespace of its own, and with a cgroup file system that it may write, a container divides its
 * cgroup itself. Source: runtime-spec config-linux.md#cgroup-ownership.
 */
function planDelegation(
  { linux }: OciConfig,
  { created }: NamespacePlan,
  mounts: readonly PlannedMount[],
  host: HostFacts,
): string[] {
  const isWritable = mounts.some(
    ({ mount, options }) => /^cgroup2?$/.test(mount.type ?? "") && (options.set & ATTR.RDONLY) === 0,
  );
  if (!linux?.cgroupsPath || !created.has("user") || !created.has("cgroup") || !isWritable) return [];
  return delegatedPaths(host.cgroups, linux.cgroupsPath, (path) => host.readText?.(path));
}

function checkNetwork({ network, placeInCgroup }: StartRequest, { created }: NamespacePlan): void {
  if (!network) return;
  if (!created.has("network"))
    throw new LighterError("invalid", "interfaces need a network namespace of the container's own");
  // At its pause, init would take the news that its interfaces are made for the answer that it awaits.
  if (placeInCgroup) throw new LighterError("not-supported", "interfaces where somebody else makes the cgroup");
}
