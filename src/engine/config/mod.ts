/**
 * From Docker's create body to an OCI runtime config: pure translation in two steps.
 *
 *   JSON ─ parseCreateBody ─► config, hostConfig ─ prepareContainer ─► what is stored and what `inspect` shows
 *                                                                       │
 *                          OciConfig ◄─ buildOciConfig ─ user, files, peers, at every start
 *
 * What is known and cannot be honoured is refused by name in the first two.
 */
export {
  type BuildInput,
  buildOciConfig,
  type ContainerFiles,
  cgroupParentOf,
  cgroupsPathOf,
  DEFAULT_CGROUP_PARENT,
  type PlacedContainer,
  planAskedMounts,
  planEtcMounts,
  scopeOf,
  usesInit,
} from "./build.ts";
export { applyDefaults, type ContainerDefaults, checkContainerDefaults, NO_DEFAULTS } from "./defaults.ts";
export {
  checkNewWish,
  checkWish,
  isUserDefined,
  networkNameOf,
  onlyInPrivate,
  parseConnectWish,
  parseLink,
  requireLinkLocal,
  sharesNetwork,
} from "./endpoints.ts";
export { invalid } from "./errors.ts";
export {
  type EtcFiles,
  formatHostsLine,
  type HostEtcFiles,
  type NetworkFacts,
  ownHostNames,
  planContainerResolvConf,
  planEtcFiles,
} from "./etc-files.ts";
export { ENDPOINT_FIELDS, parseCreateBody, readCreateBody } from "./fields.ts";
export type { CgroupFeatures, HostDevice, HostFacts, HostFile, HostProbe } from "./host.ts";
export { LOG_DRIVERS, type LogOptions, logAttributesOf } from "./log.ts";
export type { ImageOfMount, MountContext, MountPoint } from "./mounts.ts";
export { DEFAULT_NETWORK, type Peer, type Peers, parseNetworkMode, peerReferences } from "./namespaces.ts";
export { type ContainerPort, exposedPorts, formatPort, type PortWish, planPorts, planPortsInSteps } from "./ports.ts";
export {
  DEFAULT_SHM_BYTES,
  type PreparedContainer,
  prepareContainer,
  validateCreate,
} from "./prepare.ts";
export { buildExecProcess, type ExecOptions, mergeImageConfig, type ResolvedUser } from "./process.ts";
export { planResources } from "./resources.ts";
export {
  BUILT_IN_RUNTIMES,
  checkRuntime,
  isMachine,
  isNvidiaRuntime,
  OWN_RUNTIMES,
  RUNTIME_NAME,
  type RuntimeEntry,
  type RuntimeTable,
} from "./runtimes.ts";
export { appArmorProfileOf, DEFAULT_APPARMOR_PROFILE, MACHINE_APPARMOR_PROFILE } from "./security.ts";
export { mergeUpdate, parseUpdateBody, prepareUpdate } from "./update.ts";
export { seesOwnLimits } from "./view.ts";
export { needsLimitsAbove } from "./writable-cgroups.ts";
