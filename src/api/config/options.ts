/** Checks what `lighter daemon` is told by its command line and by a file in the form of Docker's daemon.json. */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { LighterError, messageOf } from "../../base/errors.ts";
import { isIpAddress } from "../../base/ip-address.ts";
import { SECCOMP_PROFILE_MAX_BYTES } from "../../base/limits.ts";
import { LOG_LEVELS, type LogFormat, type LogLevel } from "../../base/log.ts";
import {
  BUILT_IN_RUNTIMES,
  type ContainerDefaults,
  checkContainerDefaults,
  checkRuntime,
  DEFAULT_CDI_DIRECTORIES,
  DEFAULT_GC,
  type GcSettings,
  type NetworkSettings,
  parseMirror,
  type RegistryConfig,
  RUNTIME_NAME,
  type RuntimeTable,
} from "../../engine/mod.ts";
import { formatHost, type Host, isLoopback, parseAddress, parseCriAddress, parseHost } from "./hosts.ts";
import { invalid } from "./kinds.ts";
import { parseNetworkSettings } from "./network-settings.ts";
import type { Values } from "./settings.ts";
import { type GivenValues, readValues } from "./values.ts";

export interface TlsFiles {
  certPath: string;
  keyPath: string;
  /** The authority whose certificates clients must have; undefined: anybody may connect. */
  caPath: string | undefined;
}

/** Options that SIGHUP reloads. */
export interface ReloadableOptions {
  debug: boolean;
  labels: readonly string[];
  features: Readonly<Record<string, boolean>>;
  shutdownTimeoutS: number;
  registry: RegistryConfig;
  /** The limit on parallel downloads; undefined: chosen for the machine. */
  maxDownloads: number | undefined;
  maxUploads: number;
  downloadAttempts: number;
}

export interface DaemonOptions extends ReloadableOptions {
  /** The settings as given, from which a reload finds what changed. */
  given: GivenValues;
  hosts: readonly Host[];
  /** The group that may use the unix sockets. Undefined: one of the default groups, if the host has it. */
  group: string | undefined;
  /** The certificates for TCP. */
  tls: TlsFiles | undefined;
  /** The path of the socket for Kubernetes; undefined for none. */
  criPath: string | undefined;
  /** Where the network of pods is described, and where its plugins are. */
  cni: { configDirectory: string; binDirectories: readonly string[] };
  hidesPods: boolean;
  dataRoot: string;
  execRoot: string;
  pidPath: string | undefined;
  log: { level: LogLevel; format: LogFormat };
  metrics: { hostname: string; port: number } | undefined;
  /** The URL of a collector of traces, if the settings have one. */
  otlpEndpoint: string | undefined;
  defaults: ContainerDefaults;
  /** The setting's text; its meaning depends on the host's users. */
  usernsRemap: string;
  networks: NetworkSettings;
  /** Additional runtimes, beside the built-in one. */
  runtimes: RuntimeTable;
  /** Directories with CDI specifications of devices. */
  cdiDirectories: readonly string[];
  /** What the cache of builds keeps. */
  buildGc: GcSettings;
  /** The size of a file that a build downloads; undefined: the usual one. */
  buildDownloadMaxBytes: number | undefined;
}

const DEFAULT_UPLOADS = 5;
const DEFAULT_ATTEMPTS = 5;
const DEFAULT_SHUTDOWN_TIMEOUT_S = 15;
const METRICS_PORT = 9323; // the port in Docker's documentation

/** Parses and checks the daemon's options; undefined if help was asked for. @throws LighterError "invalid", naming the setting */
export function parseDaemonOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): DaemonOptions | undefined {
  const given = readValues(args);
  if (given === undefined) return undefined;
  const { values } = given;
  for (const name of ["data-root", "exec-root", "pidfile"] as const)
    if (values[name] !== undefined && !values[name].startsWith("/"))
      throw invalid(`--${name}: must be an absolute path`);
  const tls = parseTls(values, env);
  const hosts = (values.hosts ?? ["unix://"]).map((text) => parseHost(text, tls !== undefined));
  for (const host of hosts) refuseUnsafe(host, values, tls);
  return {
    given,
    hosts,
    group: values.group,
    tls,
    criPath: values.cri === undefined ? undefined : parseCriAddress(values.cri),
    cni: {
      configDirectory: values["cni-conf-dir"] ?? "/etc/cni/net.d",
      binDirectories: values["cni-bin-dirs"] ?? ["/opt/cni/bin", "/usr/lib/cni"],
    },
    hidesPods: values["cri-hidden"] ?? false,
    dataRoot: values["data-root"] ?? "/var/lib/lighter",
    execRoot: values["exec-root"] ?? "/run/lighter",
    pidPath: values.pidfile,
    log: { level: parseLevel(values), format: parseFormat(values["log-format"] ?? "text") },
    metrics: parseMetrics(values["metrics-addr"]),
    otlpEndpoint: parseOtlpEndpoint(values["otlp-endpoint"]),
    defaults: parseDefaults(values),
    usernsRemap: values["userns-remap"] ?? "",
    networks: parseNetworkSettings(values),
    runtimes: values.runtimes ?? {},
    buildGc: values.builder ?? DEFAULT_GC,
    buildDownloadMaxBytes: values["build-download-max"] || undefined,
    cdiDirectories: (values["cdi-spec-dirs"] ?? DEFAULT_CDI_DIRECTORIES).filter((path) => path !== ""),
    ...parseReloadable(values),
  };
}

/** The TLS files, if TLS is on. `--tlsverify` implies `--tls`, even beside `--tls=false`, as with dockerd. */
function parseTls(values: Values, env: Readonly<Record<string, string | undefined>>): TlsFiles | undefined {
  const verify = values.tlsverify ?? false;
  if (!(values.tls ?? false) && !verify) return undefined;
  const directory = env.DOCKER_CERT_PATH || join(homedir(), ".docker");
  return {
    certPath: values.tlscert ?? join(directory, "cert.pem"),
    keyPath: values.tlskey ?? join(directory, "key.pem"),
    caPath: verify ? (values.tlscacert ?? join(directory, "ca.pem")) : undefined,
  };
}

/**
 * Refuses a TCP address at which anybody may connect, unless that was asked for twice: whoever can connect is root. On loopback
 * only those with a shell on this machine can.
 */
function refuseUnsafe(host: Host, values: Values, tls: TlsFiles | undefined): void {
  if (host.kind !== "tcp" || isLoopback(host.hostname) || tls?.caPath !== undefined) return;
  if (values.tls === false || values.tlsverify === false) return;
  throw invalid(
    `hosts: ${formatHost(host)} without --tlsverify gives root on this machine to everyone who can reach it; ` +
      "use --tlsverify, or --tls=false if that is what you want",
  );
}

function parseLevel(values: Values): LogLevel {
  const name = values.debug ? "debug" : (values["log-level"] ?? "info");
  return LOG_LEVELS.find((level) => level === name) ?? raise(`log-level: invalid logging level: ${name}`);
}

function parseFormat(name: string): LogFormat {
  if (name === "text" || name === "json") return name;
  throw invalid(`log-format: invalid log format: ${name}`);
}

function parseMetrics(text: string | undefined): DaemonOptions["metrics"] {
  if (text === undefined || text === "") return undefined;
  return parseAddress(text, METRICS_PORT) ?? raise(`metrics-addr: ${JSON.stringify(text)} is not HOST:PORT`);
}

function parseReloadable(values: Values): ReloadableOptions {
  for (const label of values.labels ?? [])
    if (!/^[^=]+=/.test(label)) throw invalid(`labels: bad attribute format: ${label}`);
  const mirrors = values["registry-mirrors"] ?? [];
  for (const mirror of mirrors) parseMirror(mirror);
  return {
    debug: values.debug ?? false,
    labels: values.labels ?? [],
    features: values.features ?? {},
    shutdownTimeoutS: values["shutdown-timeout"] ?? DEFAULT_SHUTDOWN_TIMEOUT_S,
    registry: { mirrors, insecureRegistries: values["insecure-registries"] ?? [] },
    maxDownloads: parseCount(values, "max-concurrent-downloads", "concurrent downloads"),
    maxUploads: parseCount(values, "max-concurrent-uploads", "concurrent uploads") ?? DEFAULT_UPLOADS,
    downloadAttempts: parseCount(values, "max-download-attempts", "download attempts") ?? DEFAULT_ATTEMPTS,
  };
}

/** A number that must not be negative; undefined for 0, which means the default, as with dockerd. */
function parseCount(values: Values, key: keyof Values, what: string): number | undefined {
  const count = values[key] as number | undefined;
  if (count !== undefined && count < 0) throw invalid(`${key}: invalid max ${what}: ${count}`);
  return count || undefined;
}

function parseDefaults(values: Values): ContainerDefaults {
  const ipcMode = values["default-ipc-mode"] ?? "private";
  if (ipcMode !== "private" && ipcMode !== "shareable")
    throw invalid(
      `default-ipc-mode: IPC mode "${ipcMode}" is not supported as default value; use "shareable" or "private"`,
    );
  const cgroupnsMode = values["default-cgroupns-mode"] ?? "private";
  if (cgroupnsMode !== "private" && cgroupnsMode !== "host")
    throw invalid(
      `default-cgroupns-mode: default cgroup namespace mode (${cgroupnsMode}) is invalid; use "host" or "private"`,
    );
  for (const server of values.dns ?? []) if (!isIpAddress(server)) throw invalid(`dns: invalid IP address: ${server}`);
  for (const domain of values["dns-search"] ?? [])
    if (!/^(\.|[A-Za-z0-9_.-]{1,253})$/.test(domain)) throw invalid(`dns-search: ${domain} is not a valid domain`);
  const defaults: ContainerDefaults = {
    ipcMode,
    cgroupnsMode,
    shmBytes: values["default-shm-size"] || undefined,
    ulimits: values["default-ulimits"] ?? [],
    noNewPrivileges: values["no-new-privileges"] ?? false,
    seccompProfile: readSeccompProfile(values["seccomp-profile"] || "builtin"),
    cgroupParent: values["cgroup-parent"] || undefined,
    cgroupDriver: parseCgroupDriver(values["exec-opts"] ?? []),
    init: values.init ?? false,
    dns: values.dns ?? [],
    dnsOptions: values["dns-opts"] ?? [],
    dnsSearch: values["dns-search"] ?? [],
    log: { driver: values["log-driver"] || "json-file", options: values["log-opts"] ?? {} },
    runtime: parseDefaultRuntime(values),
  };
  checkContainerDefaults(defaults);
  return defaults;
}

function parseOtlpEndpoint(text: string | undefined): string | undefined {
  if (!text) return undefined;
  const url = URL.parse(text);
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    throw invalid(`otlp-endpoint: ${JSON.stringify(text)} is no http:// or https:// URL`);
  return text;
}

function parseDefaultRuntime({ runtimes = {}, "default-runtime": name = RUNTIME_NAME }: Values): string {
  for (const each of Object.keys(runtimes))
    if (BUILT_IN_RUNTIMES.includes(each)) throw invalid(`runtimes: runtime name '${each}' is reserved`);
  if (!BUILT_IN_RUNTIMES.includes(name) && !Object.hasOwn(runtimes, name))
    throw invalid(`default-runtime: specified default runtime '${name}' does not exist`);
  checkRuntime("default-runtime", name, runtimes);
  return name;
}

const CGROUP_DRIVERS = ["cgroupfs", "systemd"] as const;

/** Parses options of the runtime, of which there is one. The last one counts. */
function parseCgroupDriver(options: readonly string[]): ContainerDefaults["cgroupDriver"] {
  let driver: ContainerDefaults["cgroupDriver"] = "cgroupfs";
  for (const option of options) {
    const [, name, value] = /^([^=]+)=(.*)$/.exec(option) ?? [];
    if (name !== "native.cgroupdriver") throw invalid(`exec-opts: invalid option: ${JSON.stringify(option)}`);
    const known = CGROUP_DRIVERS.find((each) => each === value);
    if (known === undefined)
      throw invalid(`exec-opts: native.cgroupdriver option "${value}" is invalid; there are "cgroupfs" and "systemd"`);
    driver = known;
  }
  return driver;
}

/** The profile in the form that a container's SecurityOpt has. */
function readSeccompProfile(name: string): string {
  if (name === "builtin" || name === "unconfined") return name;
  try {
    const text = readFileSync(name, "utf8");
    if (text.length > SECCOMP_PROFILE_MAX_BYTES) throw invalid(`it has more than ${SECCOMP_PROFILE_MAX_BYTES} bytes`);
    return text;
  } catch (error) {
    throw new LighterError(
      "invalid",
      `seccomp-profile: opening seccomp profile (${name}) failed: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

function raise(message: string): never {
  throw invalid(message);
}
