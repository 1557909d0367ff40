/**
 * Builds the body of POST /containers/create from the flags of `run`, with the keys and defaults that the stock client
 * sends (compared in tests/compat), so that a daemon cannot tell the two apart.
 */

import { readFileSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { isQualifiedCdiName } from "../../spec/cdi-name.ts";
import { errnoText, pairsToObject, readEnvFile, readLabelFile } from "../values/env-file.ts";
import { splitVolumes } from "../values/mount-value.ts";
import {
  isUserDefinedNetwork,
  type NetworkAttachment,
  NO_OPTIONS,
  parseExpose,
  parseMacAddress,
  parsePublish,
} from "../values/network-values.ts";
import { type DeviceRequest, parseDevice } from "../values/resource-values.ts";
import type { ContainerFlagValues } from "./container-flags.ts";
import { machineLabels } from "./machine-flags.ts";

export interface ContainerBody {
  readonly Image: string;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  StdinOnce: boolean;
  readonly NetworkingConfig: { readonly EndpointsConfig: Readonly<Record<string, object>> };
  readonly HostConfig: {
    readonly AutoRemove: boolean;
    readonly Dns: readonly string[];
    readonly OomKillDisable: boolean;
    readonly Memory: number;
    /** Rows and columns of our terminal. */
    ConsoleSize: [number, number];
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

/**
 * Builds the body.
 * @throws Error whose text says which flag is wrong and why
 */
export function buildContainerBody(
  flags: ContainerFlagValues,
  given: ReadonlySet<string>,
  image: string,
  command: readonly string[],
): ContainerBody {
  const values = readValues(flags);
  const attachAll = flags.attach.length === 0;
  const attachStdin = flags.interactive || flags.attach.includes("stdin");

  return {
    Hostname: flags.hostname,
    Domainname: flags.domainname,
    User: flags.user,
    AttachStdin: attachStdin,
    AttachStdout: attachAll || flags.attach.includes("stdout"),
    AttachStderr: attachAll || flags.attach.includes("stderr"),
    ...ifAny("ExposedPorts", values.exposed),
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && attachStdin,
    Env: orNull(values.env),
    Cmd: orNull(command),
    ...(values.health === undefined ? {} : { Healthcheck: values.health }),
    Image: image,
    Volumes: values.anonymous,
    WorkingDir: flags.workdir,
    Entrypoint: given.has("entrypoint") ? [flags.entrypoint] : null,
    OnBuild: null,
    Labels: pairsToObject(values.labels),
    ...(flags["stop-signal"] === "" ? {} : { StopSignal: flags["stop-signal"] }),
    ...(given.has("stop-timeout") ? { StopTimeout: flags["stop-timeout"] } : {}),
    HostConfig: buildHostConfig(flags, given, values),
    NetworkingConfig: { EndpointsConfig: buildEndpoints(flags.network, flags) },
  };
}

/**
 * Checks values that need more than a look at one flag. The order of the checks is the order in which users see errors.
 */
function readValues(flags: ContainerFlagValues) {
  if (flags["mac-address"] !== "") parseMacAddress(flags["mac-address"]);
  const swappiness = flags["memory-swappiness"];
  if (swappiness < -1 || swappiness > 100)
    throw new Error(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`);
  const { binds, anonymous } = splitVolumes(flags.volume);
  const { exposed, bindings } = parsePublish(flags.publish);
  for (const text of flags.expose) for (const port of parseExpose(text)) exposed[port] = {};
  const devices = flags.device.filter((text) => !isQualifiedCdiName(text)).map((text) => parseDevice(text));
  const env = [...flags["env-file"].flatMap((path) => readEnvFile(path)), ...flags.env];
  const labels = [
    ...flags["label-file"].flatMap((path) => readLabelFile(path)),
    ...flags.label,
    ...machineLabels(flags, flags.runtime === "machine"),
  ];
  checkModes(flags);
  const restartPolicy = parseRestart(flags.restart);
  const logConfig = pairsToObject(flags["log-opt"]);
  if (flags["log-driver"] === "none" && flags["log-opt"].length > 0)
    throw new Error("invalid logging opts for driver none");
  const security = parseSecurityOpts(flags["security-opt"]);
  const storage = parseStorageOpts(flags["storage-opt"]);
  const health = buildHealthcheck(flags);
  if (flags.rm && restartPolicy.Name !== "no" && restartPolicy.Name !== "")
    throw new Error("Conflicting options: --restart and --rm");
  return {
    binds,
    anonymous,
    exposed,
    bindings,
    devices,
    env,
    labels,
    restartPolicy,
    logConfig,
    security,
    storage,
    health,
  };
}

function buildHostConfig(
  flags: ContainerFlagValues,
  given: ReadonlySet<string>,
  { binds, bindings, devices, restartPolicy, logConfig, security, storage }: ReturnType<typeof readValues>,
): ContainerBody["HostConfig"] {
  return {
    Binds: orNull(binds),
    ContainerIDFile: flags.cidfile,
    LogConfig: { Type: flags["log-driver"], Config: logConfig },
    NetworkMode: flags.network[0]?.target ?? "default",
    PortBindings: bindings,
    RestartPolicy: restartPolicy,
    AutoRemove: flags.rm,
    VolumeDriver: flags["volume-driver"],
    VolumesFrom: orNull(flags["volumes-from"]),
    ConsoleSize: [0, 0],
    ...ifAny("Annotations", pairsToObject(flags.annotation)),
    CapAdd: orNull(flags["cap-add"]),
    CapDrop: orNull(flags["cap-drop"]),
    CgroupnsMode: flags.cgroupns,
    Dns: flags.dns,
    DnsOptions: flags["dns-option"],
    DnsSearch: flags["dns-search"],
    ExtraHosts: orNull(flags["add-host"]),
    GroupAdd: orNull(flags["group-add"]),
    IpcMode: flags.ipc,
    Cgroup: "",
    Links: orNull(flags.link),
    OomScoreAdj: flags["oom-score-adj"],
    PidMode: flags.pid,
    Privileged: flags.privileged,
    PublishAllPorts: flags["publish-all"],
    ReadonlyRootfs: flags["read-only"],
    SecurityOpt: security.opts,
    ...ifAny("StorageOpt", storage),
    ...ifAny("Tmpfs", pairsAt(flags.tmpfs, ":")),
    UTSMode: flags.uts,
    UsernsMode: flags.userns,
    ShmSize: flags["shm-size"],
    ...ifAny("Sysctls", pairsToObject(flags.sysctl)),
    ...(flags.runtime === "" ? {} : { Runtime: flags.runtime }),
    Isolation: flags.isolation,
    ...buildResources(flags),
    Devices: devices,
    ...(flags.mount.length === 0 ? {} : { Mounts: flags.mount }),
    MaskedPaths: security.systemPathsUnconfined ? [] : null,
    ReadonlyPaths: security.systemPathsUnconfined ? [] : null,
    ...(given.has("init") ? { Init: flags.init } : {}),
  };
}

/** Builds the part of HostConfig that the API calls Resources. */
function buildResources(flags: ContainerFlagValues) {
  return {
    CpuShares: flags["cpu-shares"],
    Memory: flags.memory,
    NanoCpus: flags.cpus,
    CgroupParent: flags["cgroup-parent"],
    BlkioWeight: flags["blkio-weight"],
    BlkioWeightDevice: flags["blkio-weight-device"],
    BlkioDeviceReadBps: flags["device-read-bps"],
    BlkioDeviceWriteBps: flags["device-write-bps"],
    BlkioDeviceReadIOps: flags["device-read-iops"],
    BlkioDeviceWriteIOps: flags["device-write-iops"],
    CpuPeriod: flags["cpu-period"],
    CpuQuota: flags["cpu-quota"],
    CpuRealtimePeriod: flags["cpu-rt-period"],
    CpuRealtimeRuntime: flags["cpu-rt-runtime"],
    CpusetCpus: flags["cpuset-cpus"],
    CpusetMems: flags["cpuset-mems"],
    DeviceCgroupRules: orNull(flags["device-cgroup-rule"]),
    DeviceRequests: orNull([...flags.gpus, ...cdiRequests(flags.device)]),
    MemoryReservation: flags["memory-reservation"],
    MemorySwap: flags["memory-swap"],
    MemorySwappiness: flags["memory-swappiness"],
    OomKillDisable: flags["oom-kill-disable"],
    PidsLimit: flags["pids-limit"],
    // one for each name: the last wins
    Ulimits: [...new Map(flags.ulimit.map((ulimit) => [ulimit.Name, ulimit])).values()],
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
}

function checkModes(flags: ContainerFlagValues): void {
  const isContainer = (mode: string) => /^container:./.test(mode);
  if (!["", "host"].includes(flags.pid) && !isContainer(flags.pid)) throw new Error("--pid: invalid PID mode");
  if (!["", "host"].includes(flags.uts)) throw new Error("--uts: invalid UTS mode");
  if (!/^(|host|auto(:.*)?)$/.test(flags.userns)) throw new Error("--userns: invalid USER mode");
  if (!["", "host", "private"].includes(flags.cgroupns)) throw new Error("--cgroupns: invalid CGROUP mode");
}

export function parseRestart(text: string): { Name: string; MaximumRetryCount: number } {
  const colon = text.indexOf(":");
  const name = colon === -1 ? text : text.slice(0, colon);
  const count = colon === -1 ? "" : text.slice(colon + 1);
  if (colon !== -1 && name === "") throw new Error("invalid restart policy format: no policy provided before colon");
  if (count !== "" && !/^[+-]?\d{1,15}$/.test(count))
    throw new Error("invalid restart policy format: maximum retry count must be an integer");
  return { Name: name, MaximumRetryCount: Number(count) };
}

/** Reads a seccomp profile that is named by file, which the daemon may not be able to see, and sends its text. */
function parseSecurityOpts(opts: readonly string[]): {
  opts: readonly string[] | null;
  systemPathsUnconfined: boolean;
} {
  const parsed = opts.map((opt) => {
    if (opt === "no-new-privileges") return opt;
    const [, key = "", value = ""] = /^([^=]*)=(.*)$/s.exec(opt) ?? /^([^:]*):(.*)$/s.exec(opt) ?? [];
    if (key !== "no-new-privileges" && (key === "" || value === ""))
      throw new Error(`Invalid --security-opt: ${goQuote(opt)}`);
    if (key !== "seccomp" || value === "unconfined" || value === "builtin") return opt;
    return `seccomp=${readSeccompProfile(value)}`;
  });
  const kept = parsed.filter((opt) => opt !== "systempaths=unconfined");
  // all options filtered out gives an empty list, no options give null
  return { opts: opts.length === 0 ? null : kept, systemPathsUnconfined: kept.length !== parsed.length };
}

function readSeccompProfile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new Error(`opening seccomp profile (${path}) failed: open ${path}: ${errnoText(cause)}`, { cause });
  }
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (cause) {
    throw new Error(`compacting json for seccomp profile (${path}) failed: ${messageOf(cause)}`, { cause });
  }
}

function parseStorageOpts(opts: readonly string[]): Record<string, string> {
  if (opts.some((opt) => !opt.includes("="))) throw new Error("invalid storage option");
  return pairsToObject(opts);
}

function buildHealthcheck(flags: ContainerFlagValues): object | undefined {
  const times = {
    Interval: flags["health-interval"],
    Timeout: flags["health-timeout"],
    StartPeriod: flags["health-start-period"],
    StartInterval: flags["health-start-interval"],
    Retries: flags["health-retries"],
  };
  const wanted = flags["health-cmd"] !== "" || Object.values(times).some((value) => value !== 0);
  if (flags["no-healthcheck"]) {
    if (wanted) throw new Error("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  if (!wanted) return undefined;
  for (const name of ["interval", "timeout", "retries", "start-period", "start-interval"] as const)
    if (flags[`health-${name}`] < 0) throw new Error(`--health-${name} cannot be negative`);
  return {
    ...(flags["health-cmd"] === "" ? {} : { Test: ["CMD-SHELL", flags["health-cmd"]] }),
    ...Object.fromEntries(Object.entries(times).filter(([, value]) => value !== 0)),
  };
}

/** Builds the API's EndpointSettings, with the keys that the stock client always sends. */
export function buildEndpoint(network: NetworkAttachment) {
  const ipam = {
    ...(network.ip === "" ? {} : { IPv4Address: network.ip }),
    ...(network.ip6 === "" ? {} : { IPv6Address: network.ip6 }),
    ...(network.linkLocalIps.length === 0 ? {} : { LinkLocalIPs: network.linkLocalIps }),
  };
  return {
    IPAMConfig: Object.keys(ipam).length === 0 ? null : ipam,
    Links: orNull(network.links),
    Aliases: orNull(network.aliases),
    MacAddress: network.macAddress === "" ? "" : parseMacAddress(network.macAddress),
    NetworkID: "",
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DriverOpts: Object.keys(network.driverOpts).length === 0 ? null : network.driverOpts,
    DNSNames: null,
    ...(network.gatewayPriority === 0 ? {} : { GwPriority: network.gatewayPriority }),
  };
}

function buildEndpoints(networks: readonly NetworkAttachment[], flags: ContainerFlagValues): Record<string, object> {
  const fallback = { target: "default", ...NO_OPTIONS };
  const all = networks.length === 0 ? [fallback] : networks;
  const endpoints: Record<string, object> = {};
  const userDefined = all.filter((network) => isUserDefinedNetwork(network.target)).length;
  for (const [index, network] of all.entries()) {
    const merged = index === 0 ? withContainerFlags(network, flags) : network;
    if (merged.target.trim() === "") throw new Error("no name set for network");
    if (!isUserDefinedNetwork(merged.target)) {
      if (merged.aliases.length > 0)
        throw new Error("network-scoped aliases are only supported for user-defined networks");
      if (merged.links.length > 0) throw new Error("links are only supported for user-defined networks");
    }
    if (merged.target in endpoints) throw new Error(`network ${goQuote(merged.target)} is specified multiple times`);
    // A single network without options is in NetworkMode only; the daemon makes the endpoint.
    const plain = { ...merged, target: "default" };
    if (networks.length === 1 && JSON.stringify(plain) === JSON.stringify(fallback)) continue;
    endpoints[merged.target] = buildEndpoint(merged);
  }
  if (userDefined > 0 && userDefined < all.length)
    throw new Error("conflicting options: cannot attach both user-defined and non-user-defined network-modes");
  return endpoints;
}

/** Adds --ip, --network-alias and the like, which belong to the first network. */
function withContainerFlags(network: NetworkAttachment, flags: ContainerFlagValues): NetworkAttachment {
  const aliases = flags["network-alias"];
  const links = ["default", "bridge"].includes(network.target) ? [] : flags.link;
  const pick = (flag: string, own: string, what: string): string => {
    if (flag !== "" && own !== "") throw new Error(`conflicting options: cannot specify both ${what}`);
    return flag === "" ? own : flag;
  };
  if (aliases.length > 0 && network.aliases.length > 0)
    throw new Error("conflicting options: cannot specify both --network-alias and per-network alias");
  if (flags["link-local-ip"].length > 0 && network.linkLocalIps.length > 0)
    throw new Error("conflicting options: cannot specify both --link-local-ip and per-network link-local IP addresses");
  return {
    ...network,
    aliases: aliases.length > 0 ? aliases : network.aliases,
    links: links.length > 0 ? links : network.links,
    linkLocalIps: flags["link-local-ip"].length > 0 ? flags["link-local-ip"] : network.linkLocalIps,
    ip: pick(flags.ip, network.ip, "--ip and per-network IPv4 address"),
    ip6: pick(flags.ip6, network.ip6, "--ip6 and per-network IPv6 address"),
    macAddress: pick(flags["mac-address"], network.macAddress, "--mac-address and per-network MAC address"),
  };
}

function pairsAt(texts: readonly string[], separator: string): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf(separator);
      return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

function orNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

/** Returns an object with the member, or an empty one if `object` is empty. */
export function ifAny<K extends string>(key: K, object: object): Partial<Record<K, object>> {
  return Object.keys(object).length === 0 ? {} : ({ [key]: object } as Record<K, object>);
}

/** Requests devices by their CDI names ("vendor.com/class=name"). */
function cdiRequests(devices: readonly string[]): DeviceRequest[] {
  const DeviceIDs = devices.filter(isQualifiedCdiName);
  return DeviceIDs.length === 0 ? [] : [{ Driver: "cdi", Count: 0, DeviceIDs, Capabilities: null, Options: null }];
}
