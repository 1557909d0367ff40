/**
 * What the daemon's settings give to containers that do not say. They become part of the container when it is created:
 * `inspect` shows them, and a change of the daemon's settings is for new containers.
 */
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { parseDockerSeccompProfile } from "../../spec/docker-seccomp.ts";
import { invalid } from "./errors.ts";
import type { CgroupFeatures } from "./host.ts";
import { parseLogConfig } from "./log.ts";
import { planRlimits } from "./resources.ts";
import { RUNTIME_NAME } from "./runtimes.ts";

export interface ContainerDefaults {
  ipcMode: "private" | "shareable";
  cgroupnsMode: "private" | "host";
  shmBytes: number | undefined;
  ulimits: readonly { Name: string; Soft: number; Hard: number }[];
  noNewPrivileges: boolean;
  /** "builtin", "unconfined" or a profile's JSON. */
  seccompProfile: string;
  cgroupParent: string | undefined;
  /** Who makes containers' cgroups: systemd as scopes, or we ourselves. */
  cgroupDriver: "cgroupfs" | "systemd";
  init: boolean;
  dns: readonly string[];
  dnsOptions: readonly string[];
  dnsSearch: readonly string[];
  log: { driver: string; options: Readonly<Record<string, string>> };
  runtime: string;
}

export const NO_DEFAULTS: ContainerDefaults = {
  ipcMode: "private",
  cgroupnsMode: "private",
  shmBytes: undefined,
  ulimits: [],
  noNewPrivileges: false,
  seccompProfile: "builtin",
  cgroupParent: undefined,
  cgroupDriver: "cgroupfs",
  init: false,
  dns: [],
  dnsOptions: [],
  dnsSearch: [],
  log: { driver: "json-file", options: {} },
  runtime: RUNTIME_NAME,
};

/**
 * Checks the defaults when the daemon starts, so that a mistake shows before the first container. @throws LighterError, in
 * Docker's words
 */
export function checkContainerDefaults(defaults: ContainerDefaults): void {
  planRlimits({ Ulimits: [...defaults.ulimits] });
  parseLogConfig({ Type: defaults.log.driver, Config: { ...defaults.log.options } });
  checkCgroupParent(defaults.cgroupParent, defaults);
  if (!["builtin", "unconfined"].includes(defaults.seccompProfile)) parseDockerSeccompProfile(defaults.seccompProfile);
}

/** @throws LighterError "invalid", in Docker's words, for a parent that systemd does not have */
function checkCgroupParent(parent: string | undefined, { cgroupDriver }: ContainerDefaults): void {
  if (cgroupDriver === "systemd" && parent && !/.\.slice$/.test(parent))
    throw invalid('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"');
}

/** Fills in the defaults. Pure. `given`: the host config as the client wrote it. */
export function applyDefaults(
  given: DockerHostConfig,
  defaults: ContainerDefaults,
  host: { cgroup: Pick<CgroupFeatures, "mode">; hostCgroupns?: boolean },
): DockerHostConfig {
  const hostConfig: DockerHostConfig = { ...given };
  hostConfig.IpcMode ||= defaults.ipcMode;
  // With cgroup v1 a privileged container sees the host's cgroups, whatever the daemon's setting, as with Docker.
  const seesHost = (given.Privileged || host.hostCgroupns) && host.cgroup.mode !== "unified";
  hostConfig.CgroupnsMode ||= seesHost ? "host" : defaults.cgroupnsMode;
  if (defaults.runtime !== RUNTIME_NAME) hostConfig.Runtime ||= defaults.runtime;
  if (defaults.shmBytes !== undefined) hostConfig.ShmSize ||= defaults.shmBytes;
  if (defaults.cgroupParent !== undefined) hostConfig.CgroupParent ||= defaults.cgroupParent;
  checkCgroupParent(hostConfig.CgroupParent ?? undefined, defaults);
  if (defaults.init) hostConfig.Init ??= true;
  if (defaults.ulimits.length > 0) hostConfig.Ulimits = mergeUlimits(given.Ulimits, defaults.ulimits);
  // A container in another's network uses that one's names.
  const ownNames = !(given.NetworkMode ?? "").startsWith("container:");
  const lists = { Dns: defaults.dns, DnsOptions: defaults.dnsOptions, DnsSearch: defaults.dnsSearch };
  for (const name of ["Dns", "DnsOptions", "DnsSearch"] as const)
    if (ownNames && (given[name] ?? []).length === 0 && lists[name].length > 0) hostConfig[name] = [...lists[name]];
  hostConfig.SecurityOpt = withSecurity(given, defaults);
  if (hostConfig.SecurityOpt.length === 0 && given.SecurityOpt == null) delete hostConfig.SecurityOpt;
  // Options belong to a driver: a container that names a driver gets the daemon's options only if it is the same driver.
  const type = given.LogConfig?.Type || defaults.log.driver;
  const options =
    type === defaults.log.driver ? { ...defaults.log.options, ...given.LogConfig?.Config } : given.LogConfig?.Config;
  hostConfig.LogConfig = { Type: type, Config: { ...options } };
  return hostConfig;
}

function mergeUlimits(
  given: DockerHostConfig["Ulimits"],
  defaults: ContainerDefaults["ulimits"],
): NonNullable<DockerHostConfig["Ulimits"]> {
  const named = new Set((given ?? []).map(({ Name }) => Name?.toLowerCase()));
  return [...(given ?? []), ...defaults.filter(({ Name }) => !named.has(Name.toLowerCase()))];
}

function withSecurity({ SecurityOpt, Privileged }: DockerHostConfig, defaults: ContainerDefaults): string[] {
  const options = [...(SecurityOpt ?? [])];
  const says = (name: string) => options.some((option) => new RegExp(`^${name}([=:]|$)`).test(option));
  if (defaults.noNewPrivileges && !says("no-new-privileges")) options.push("no-new-privileges");
  if (defaults.seccompProfile !== "builtin" && !Privileged && !says("seccomp"))
    options.push(`seccomp=${defaults.seccompProfile}`);
  return options;
}
