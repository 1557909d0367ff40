/** Checks a create request and fills in what Docker fills in; most of the checks are in the files beside this one. */
import { shortId } from "../../base/ids.ts";
import { machineDefaults } from "../../machine/mod.ts";
import type { DockerContainerConfig, DockerEndpointSettings, DockerHostConfig } from "../../spec/docker-api.ts";
import type { EndpointRecord } from "../networks/types.ts";
import { planDevices } from "./devices.ts";
import { networkNameOf, planEndpoints } from "./endpoints.ts";
import { invalid } from "./errors.ts";
import { validateEtcFiles } from "./etc-files.ts";
import { validateHealthcheck } from "./health.ts";
import type { HostFacts } from "./host.ts";
import { type LogOptions, parseLogConfig } from "./log.ts";
import { type MountContext, type MountPoint, planMountPoints } from "./mounts.ts";
import { parseCgroupnsMode, parseNetworkMode, parseUtsMode, validateNamespaces } from "./namespaces.ts";
import { completeBindings, validatePorts } from "./ports.ts";
import { commandOf, mergeImageConfig, validateProcess } from "./process.ts";
import { planResources, planRlimits, prepareResources } from "./resources.ts";
import { checkRuntime, isMachine, RUNTIME_NAME, type RuntimeTable } from "./runtimes.ts";
import {
  checkAppArmor,
  defaultMaskedPaths,
  defaultReadonlyPaths,
  parseSecurityOptions,
  planCapabilities,
  planSeccomp,
} from "./security.ts";
import { planSysctls } from "./sysctls.ts";
import { parseUsernsMode } from "./userns-mode.ts";
import { seesOwnLimits } from "./view.ts";
import { checkWritableCgroups } from "./writable-cgroups.ts";

export const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

/** A create request that has been checked, with everything filled in that Docker fills in: what `inspect` shows. */
export interface PreparedContainer {
  config: DockerContainerConfig;
  hostConfig: DockerHostConfig;
  mountPoints: MountPoint[];
  endpoints: EndpointRecord[];
  /** The `Path` of inspect; `args` are its `Args`. */
  path: string;
  args: string[];
  log: LogOptions;
  /** The warnings of the create response. */
  warnings: string[];
}

/** What a creation may ask for. */
interface CreateLimits {
  runtimes?: RuntimeTable;
  /** The least limit of memory; by default Docker's. */
  leastMemoryBytes?: number | undefined;
}

/**
 * Checks a create request and fills in the image's settings and the defaults. All that can be known before the start is refused
 * here. Pure, apart from what `context` asks of the host.
 * @throws LighterError "invalid", with Docker's texts; "not-supported" for what Lighter cannot do, by name.
 */
export function prepareContainer(
  input: {
    id: string;
    config: DockerContainerConfig;
    hostConfig: DockerHostConfig;
    endpoints?: Readonly<Record<string, DockerEndpointSettings>>;
    image?: DockerContainerConfig | undefined;
  },
  context: MountContext & CreateLimits,
): PreparedContainer {
  const { host } = context;
  const asked = withMachineDefaults(mergeImageConfig(input.config, input.image ?? {}), input.hostConfig, host);
  const merged = asked.config;
  // A network namespace with nothing in it, whatever the mode says.
  const isElsewhere = ["host", "container"].includes(parseNetworkMode(input.hostConfig.NetworkMode).kind);
  const given = merged.NetworkDisabled && isElsewhere ? { ...asked.hostConfig, NetworkMode: "none" } : asked.hostConfig;
  const namespaceWarnings = validateNamespaces(input.config, given);
  const { hostConfig: limited, warnings } = validateCreate(merged, given, context);
  const config: DockerContainerConfig = { ...merged };
  if (!config.Hostname) config.Hostname = defaultHostname(input.id, limited, host);
  const hostConfig: DockerHostConfig = {
    ...limited,
    ShmSize: limited.ShmSize || DEFAULT_SHM_BYTES,
    IpcMode: limited.IpcMode || "private",
    CgroupnsMode: parseCgroupnsMode(limited.CgroupnsMode),
    NetworkMode: networkNameOf(limited.NetworkMode ?? ""),
    ...(limited.PortBindings == null ? {} : { PortBindings: completeBindings(limited.PortBindings) }),
    Runtime: limited.Runtime || RUNTIME_NAME,
    RestartPolicy: {
      Name: limited.RestartPolicy?.Name || "no",
      MaximumRetryCount: limited.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    LogConfig: { Type: limited.LogConfig?.Type || "json-file", Config: limited.LogConfig?.Config ?? {} },
    MaskedPaths: limited.MaskedPaths ?? (limited.Privileged ? null : defaultMaskedPaths(limited, host)),
    ReadonlyPaths: limited.ReadonlyPaths ?? (limited.Privileged ? null : defaultReadonlyPaths(limited)),
  };
  const mounts = planMountPoints(config, hostConfig, context);
  const [path = "", ...args] = commandOf(config);
  return {
    config,
    hostConfig,
    mountPoints: mounts.mountPoints,
    endpoints: planEndpoints(config, hostConfig, input.endpoints ?? {}),
    path,
    args,
    log: parseLogConfig(hostConfig.LogConfig),
    warnings: [...asked.warnings, ...namespaceWarnings, ...warnings, ...mounts.warnings],
  };
}

function withMachineDefaults(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  { rights }: HostFacts,
): ReturnType<typeof machineDefaults> {
  return isMachine(hostConfig)
    ? machineDefaults(config, hostConfig, rights.idmappedMounts)
    : { config, hostConfig, warnings: [] };
}

/**
 * Makes the checks of `prepareContainer` on a config that has the image's settings already, apart from namespaces and mounts.
 * Returns the host config without the limits that this kernel lacks, and warnings that say so.
 * @throws LighterError as `prepareContainer`
 */
export function validateCreate(
  config: DockerContainerConfig,
  given: DockerHostConfig,
  context: Pick<MountContext, "host" | "probe"> & CreateLimits,
): { hostConfig: DockerHostConfig; warnings: string[] } {
  const { host, probe } = context;
  validateProcess(config);
  validateHealthcheck(config);
  seesOwnLimits(config, given);
  validateRestartPolicy(given);
  if (given.Isolation && given.Isolation !== "default")
    throw invalid(`Invalid isolation: ${JSON.stringify(given.Isolation)} - linux only supports 'default'`);
  if (given.Runtime) checkRuntime("HostConfig.Runtime", given.Runtime, context.runtimes ?? {});
  if ((given.ShmSize ?? 0) < 0) throw invalid("SHM size can not be less than 0");
  for (const key of Object.keys(given.Annotations ?? {}))
    if (key === "") throw invalid("invalid Annotations: the empty string is not permitted as an annotation key");
  for (const field of ["MaskedPaths", "ReadonlyPaths"] as const)
    for (const path of given[field] ?? [])
      if (!path.startsWith("/")) throw invalid(`HostConfig.${field}: ${JSON.stringify(path)} is not an absolute path`);
  validateConsoleSize(given.ConsoleSize);
  validateEtcFiles(given);
  validatePorts(config, given);
  parseUsernsMode(given.UsernsMode);
  const limited = prepareResources(given, host, context.leastMemoryBytes);
  planRlimits(given);
  planSysctls(config, given);
  const security = parseSecurityOptions(given.SecurityOpt ?? []);
  checkAppArmor(given, host);
  checkWritableCgroups(given, host);
  const capabilities = planCapabilities(given, host.capabilities);
  planSeccomp(given, security, capabilities.bounding ?? [], host);
  // Devices may come and go until the start, but a mistake in their names is better told now.
  const { rules } = planDevices(given, probe);
  planResources(limited.hostConfig, rules, probe);
  return limited;
}

function defaultHostname(id: string, hostConfig: DockerHostConfig, host: HostFacts): string {
  const network = parseNetworkMode(hostConfig.NetworkMode).kind;
  if (network === "container") return ""; // the other container's hostname is known at the start
  if (network === "host" || parseUtsMode(hostConfig.UTSMode) === "host") return host.hostname;
  return shortId(id);
}

/** Checks the restart policy. @throws LighterError "invalid", with Docker's texts */
export function validateRestartPolicy(hostConfig: DockerHostConfig): void {
  const { Name: name, MaximumRetryCount: retries } = hostConfig.RestartPolicy ?? {};
  const isNone = !name || name === "no";
  if (hostConfig.AutoRemove && !isNone) throw invalid("can't create 'AutoRemove' container with restart policy");
  if (!isNone && !["always", "on-failure", "unless-stopped"].includes(name))
    throw invalid(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  if (retries && name !== "on-failure")
    throw invalid(
      `invalid restart policy: maximum retry count can only be used with 'on-failure'${retries < 0 ? " and cannot be negative" : ""}`,
    );
  if (retries && retries < 0) throw invalid("invalid restart policy: maximum retry count cannot be negative");
}

function validateConsoleSize(size: unknown): void {
  if (size == null) return;
  const isDimension = (value: unknown) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
  // struct winsize has 16 bits for each.
  if (!Array.isArray(size) || size.length !== 2 || !size.every(isDimension))
    throw invalid("HostConfig.ConsoleSize: must be [height, width], each from 0 to 65535");
}
