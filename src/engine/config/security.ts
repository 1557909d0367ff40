/** Capabilities, masked paths, seccomp and AppArmor of a container. */
import { messageOf } from "../../base/errors.ts";
import { parseGoBoolean } from "../../base/go-boolean.ts";
import {
  CAPABILITIES,
  type Capability,
  DOCKER_DEFAULT_CAPABILITIES,
  parseCapability,
  tweakCapabilities,
} from "../../linux/capability/mod.ts";
import { machineCapabilities, machineMaskedPaths, machineReadonlyPaths, machineSeccomp } from "../../machine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { parseDockerSeccompProfile, toOciSeccomp } from "../../spec/docker-seccomp.ts";
import { defaultProfile } from "../../spec/docker-seccomp-default.ts";
import type { OciCapabilities, OciSeccomp } from "../../spec/oci-runtime.ts";
import { invalid, notSupported } from "./errors.ts";
import type { HostFacts } from "./host.ts";
import { isMachine } from "./runtimes.ts";

/**
 * Plans the capability sets of a container. Inheritable and ambient stay empty, also for users other than root: a program there
 * gets capabilities from its file or not at all (CVE-2022-24769).
 * `handedOn`: what the daemon may hand on. A default capability that it lacks is left out; asking for one is an error.
 * @throws LighterError "invalid", with Docker's texts.
 */
export function planCapabilities(hostConfig: DockerHostConfig, handedOn: readonly Capability[]): OciCapabilities {
  const basics = isMachine(hostConfig)
    ? machineCapabilities(hasOwnIds(hostConfig), handedOn)
    : DOCKER_DEFAULT_CAPABILITIES.filter((name) => handedOn.includes(name));
  const available = CAPABILITIES.filter((name) => basics.includes(name) || handedOn.includes(name));
  for (const field of ["CapAdd", "CapDrop"] as const)
    for (const name of hostConfig[field] ?? [])
      if (name.toUpperCase() !== "ALL") requireCapability(field, name, available);
  const set = tweakCapabilities(basics, {
    capAdd: hostConfig.CapAdd ?? [],
    capDrop: hostConfig.CapDrop ?? [],
    privileged: hostConfig.Privileged ?? false,
    available,
  });
  return { bounding: set, effective: [...set], permitted: [...set] };
}

/** Tells whether a machine has a range of ids of its own. */
function hasOwnIds({ UsernsMode }: DockerHostConfig): boolean {
  return UsernsMode !== "host";
}

function requireCapability(field: "CapAdd" | "CapDrop", name: string, available: readonly Capability[]): void {
  let capability: Capability;
  try {
    capability = parseCapability(name);
  } catch (error) {
    throw invalid(`invalid ${field}: ${messageOf(error)}`);
  }
  if (!available.includes(capability))
    throw invalid(
      `invalid ${field}: capability not supported by your kernel or not available in the current environment: "${capability}"`,
    );
}

/** Paths whose contents would tell about, or change, the host. Source: moby daemon/pkg/oci/defaults.go of v28. */
const MASKED_PATHS: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  // Both show what other tenants do, keystrokes included (GHSA-6fw5-f8r9-fgfm); Docker 26 did not mask them yet.
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

const READONLY_PATHS: readonly string[] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

export function defaultMaskedPaths(
  hostConfig: DockerHostConfig,
  host: Pick<HostFacts, "thermalThrottleCpus">,
): string[] {
  const paths = [
    ...MASKED_PATHS,
    ...host.thermalThrottleCpus.map((cpu) => `/sys/devices/system/cpu/cpu${cpu}/thermal_throttle`),
  ];
  return isMachine(hostConfig) ? machineMaskedPaths(paths) : paths;
}

export function defaultReadonlyPaths(hostConfig: DockerHostConfig): string[] {
  return isMachine(hostConfig) ? machineReadonlyPaths(READONLY_PATHS, hasOwnIds(hostConfig)) : [...READONLY_PATHS];
}

/** The meaning of SecurityOpt. */
export interface SecurityOptions {
  noNewPrivileges: boolean;
  /**
   * The seccomp filter: "default" is Docker's profile, or none if privileged. A profile is JSON text: reading its file is the
   * client's job.
   */
  seccomp: "default" | "builtin" | "unconfined" | { profile: string };
  /** True for systempaths=unconfined: nothing is masked, nothing is read-only. */
  unconfinedPaths: boolean;
  /** The name of an AppArmor profile, or "" for the default. */
  appArmor: string;
  /** Whether the container may divide its cgroup; undefined for the default. */
  writableCgroups: boolean | undefined;
}

/**
 * Reads SecurityOpt, each "name=value" or, in the old form, "name:value".
 * @throws LighterError "invalid", with Docker's texts; "not-supported" for SELinux labels.
 */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const parsed: SecurityOptions = {
    noNewPrivileges: false,
    seccomp: "default",
    unconfinedPaths: false,
    appArmor: "",
    writableCgroups: undefined,
  };
  for (const option of options) {
    if (option === "no-new-privileges") parsed.noNewPrivileges = true;
    else if (option === "disable")
      continue; // "label=disable" asks for no SELinux label, and there is none anyway
    else {
      const separator = option.includes("=") ? "=" : ":";
      const at = option.indexOf(separator);
      if (at === -1) throw invalid(`invalid --security-opt 1: ${JSON.stringify(option)}`);
      applySecurityOption(parsed, option, option.slice(0, at), option.slice(at + 1));
    }
  }
  return parsed;
}

function applySecurityOption(parsed: SecurityOptions, option: string, name: string, value: string): void {
  const malformed = () => invalid(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  switch (name) {
    case "no-new-privileges":
      parsed.noNewPrivileges = parseGoBoolean(value) ?? raise(malformed());
      return;
    case "seccomp":
      if (value === "unconfined") parsed.seccomp = "unconfined";
      else if (value === "" || value === "builtin") parsed.seccomp = value === "" ? "default" : "builtin";
      else if (value.trimStart().startsWith("{")) parsed.seccomp = { profile: value };
      // A client that failed to read the file would otherwise run without the profile it asked for.
      else throw invalid(`Decoding seccomp profile failed: ${JSON.stringify(value.slice(0, 80))} is not a JSON object`);
      return;
    case "apparmor":
      // The name is written to the kernel as one word of a line.
      if (/[\0\n]/.test(value)) throw malformed();
      parsed.appArmor = value;
      return;
    case "label":
      if (value !== "disable")
        throw notSupported("HostConfig.SecurityOpt label", "SELinux labels are not available yet");
      return;
    case "writable-cgroups":
      parsed.writableCgroups = parseGoBoolean(value) ?? raise(malformed());
      return;
    case "systempaths":
      if (value !== "unconfined") throw malformed();
      parsed.unconfinedPaths = true;
      return;
    default:
      throw malformed();
  }
}

/** The profile of every container that names none. Docker uses the same name: whichever engine starts first loads it. */
export const DEFAULT_APPARMOR_PROFILE = "docker-default";
/** The profile of every machine that names none, unless it is privileged. */
export const MACHINE_APPARMOR_PROFILE = "lighter-machine";
const UNCONFINED = "unconfined";

/**
 * Returns the AppArmor profile; undefined for none. A profile that is named is returned even if the kernel has no AppArmor, and
 * then the start fails.
 */
export function appArmorProfileOf(
  hostConfig: DockerHostConfig,
  { appArmor }: Pick<HostFacts, "appArmor">,
): string | undefined {
  const { appArmor: name } = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  if (name !== "") return name === UNCONFINED && appArmor === undefined ? undefined : name;
  if (appArmor === undefined) return undefined;
  if (hostConfig.Privileged) return UNCONFINED;
  if (appArmor.problem !== undefined) return undefined;
  return isMachine(hostConfig) ? MACHINE_APPARMOR_PROFILE : DEFAULT_APPARMOR_PROFILE;
}

/** Checks the AppArmor profile. @throws LighterError "not-supported" for one that this host cannot apply. */
export function checkAppArmor(hostConfig: DockerHostConfig, host: Pick<HostFacts, "appArmor">): void {
  const name = appArmorProfileOf(hostConfig, host);
  if (name !== undefined && host.appArmor === undefined)
    throw notSupported(
      "HostConfig.SecurityOpt apparmor",
      `profile "${name}": the kernel has no AppArmor, or it is off`,
    );
}

function raise(error: Error): never {
  throw error;
}

/** Plans maskedPaths and readonlyPaths: the defaults, the container's own, or none. */
export function planPaths(
  hostConfig: DockerHostConfig,
  security: SecurityOptions,
  host: HostFacts,
): { maskedPaths?: string[]; readonlyPaths?: string[] } {
  if (hostConfig.Privileged || security.unconfinedPaths) return {};
  const maskedPaths = hostConfig.MaskedPaths ?? defaultMaskedPaths(hostConfig, host);
  const readonlyPaths = hostConfig.ReadonlyPaths ?? defaultReadonlyPaths(hostConfig);
  return {
    ...(maskedPaths.length > 0 ? { maskedPaths } : {}),
    ...(readonlyPaths.length > 0 ? { readonlyPaths } : {}),
  };
}

/**
 * Plans the seccomp filter; undefined for none.
 * @throws LighterError "invalid" for a malformed profile.
 */
export function planSeccomp(
  hostConfig: DockerHostConfig,
  security: SecurityOptions,
  bounding: readonly string[],
  host: HostFacts,
): OciSeccomp | undefined {
  const isDefault = security.seccomp === "default";
  if (security.seccomp === "unconfined" || (hostConfig.Privileged && isDefault)) return undefined;
  if (isDefault && isMachine(hostConfig)) return machineSeccomp(host.arch);
  const profile =
    typeof security.seccomp === "object" ? parseDockerSeccompProfile(security.seccomp.profile) : defaultProfile();
  return toOciSeccomp(profile, { arch: host.arch, capabilities: bounding, kernelVersion: host.kernelVersion });
}
