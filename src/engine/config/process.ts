/** Plans the process of a container or an exec: command, environment, user and directory. */
import { posix } from "node:path";
import { DEFAULT_PATH } from "../../base/default-path.ts";
import { parseSignal } from "../../base/signals.ts";
import type { Capability } from "../../linux/capability/mod.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciConfig, OciProcess, OciUser } from "../../spec/oci-runtime.ts";
import { invalid } from "./errors.ts";
import { mergeHealthcheck } from "./health.ts";
import { planCapabilities } from "./security.ts";

/** A user as it is in the container's own /etc/passwd and /etc/group. */
export interface ResolvedUser {
  uid: number;
  gid: number;
  /** The supplementary groups of the user and GroupAdd; the primary one need not be among them. */
  additionalGids: readonly number[];
  /** The home directory; "/" if the passwd file has no such user. */
  home: string;
}

/**
 * Merges the container's config over the image's, as Docker does. An entrypoint of the container's own drops the image's command
 * too, because that was written for the image's entrypoint; `[""]` means no entrypoint at all.
 */
export function mergeImageConfig(config: DockerContainerConfig, image: DockerContainerConfig): DockerContainerConfig {
  const ownNames = new Set((config.Env ?? []).map(nameOfVariable));
  const ownEntrypoint = config.Entrypoint ?? undefined;
  const reset = ownEntrypoint?.length === 1 && ownEntrypoint[0] === "";
  const inheritCmd = (ownEntrypoint?.length ?? 0) === 0 && (config.Cmd?.length ?? 0) === 0;
  const { Volumes: _, ...rest } = config;
  const merged: DockerContainerConfig = {
    ...rest,
    Env: [...(config.Env ?? []), ...(image.Env ?? []).filter((variable) => !ownNames.has(nameOfVariable(variable)))],
    Labels: { ...image.Labels, ...config.Labels },
    Cmd: (inheritCmd ? image.Cmd : config.Cmd) ?? null,
    Entrypoint: reset ? null : (ownEntrypoint ?? image.Entrypoint) || null,
    User: config.User || image.User || "",
    WorkingDir: cleanDirectory(config.WorkingDir || image.WorkingDir || ""),
  };
  const volumes = { ...image.Volumes, ...config.Volumes };
  if (Object.keys(volumes).length > 0) merged.Volumes = volumes;
  const ports = { ...image.ExposedPorts, ...config.ExposedPorts };
  if (Object.keys(ports).length > 0) merged.ExposedPorts = ports;
  const stopSignal = config.StopSignal || image.StopSignal;
  if (stopSignal) merged.StopSignal = stopSignal;
  const healthcheck = mergeHealthcheck(config.Healthcheck, image.Healthcheck);
  if (healthcheck !== undefined) merged.Healthcheck = healthcheck;
  const shell = (config.Shell ?? []).length > 0 ? config.Shell : image.Shell;
  if (shell) merged.Shell = shell;
  return merged;
}

/** Checks the parts of a merged config that depend on no host. @throws LighterError "invalid", with Docker's texts. */
export function validateProcess(config: DockerContainerConfig): void {
  const workingDirectory = config.WorkingDir ?? "";
  if (workingDirectory !== "" && !workingDirectory.startsWith("/"))
    throw invalid(`the working directory '${workingDirectory}' is invalid, it needs to be an absolute path`);
  for (const variable of config.Env ?? [])
    if (variable === "" || variable.startsWith("=")) throw invalid(`invalid environment variable: ${variable}`);
  if (config.StopSignal && parseSignal(config.StopSignal) === undefined)
    throw invalid(`invalid signal: ${config.StopSignal}`);
  if (commandOf(config).length === 0) throw invalid("no command specified");
  for (const [field, value] of [
    ["Hostname", config.Hostname],
    ["Domainname", config.Domainname],
  ] as const) {
    // sethostname(2) and setdomainname(2) take 64 bytes; Docker finds out at the start.
    if (Buffer.byteLength(value ?? "") > 64) throw invalid(`${field}: longer than 64 bytes`);
    if (/[\r\n]/.test(value ?? "")) throw invalid(`${field}: has a line break`);
  }
}

/** Joins entrypoint and command to the list that is executed. */
export function commandOf(config: DockerContainerConfig): string[] {
  return [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
}

/**
 * Makes a process's environment: Docker's defaults, each replaced in its place by the container's value if there is one. HOME
 * stands last unless given: with runc it is the runtime that adds it from the passwd file, also in place of an empty one.
 */
function environment(
  variables: readonly string[],
  context: { hostname: string; tty: boolean; home: string; before: readonly string[] },
): string[] {
  const environment = new Map([
    ["PATH", `PATH=${DEFAULT_PATH}`],
    ["HOSTNAME", `HOSTNAME=${context.hostname}`],
  ]);
  if (context.tty) environment.set("TERM", "TERM=xterm");
  for (const variable of context.before) environment.set(nameOfVariable(variable), variable);
  for (const variable of variables) {
    if (variable.includes("=")) environment.set(nameOfVariable(variable), variable);
    else environment.delete(variable); // "NAME" alone removes the default as well
  }
  if ((environment.get("HOME") ?? "HOME=") === "HOME=") environment.set("HOME", `HOME=${context.home}`);
  return [...environment.values()];
}

function nameOfVariable(variable: string): string {
  const end = variable.indexOf("=");
  return end === -1 ? variable : variable.slice(0, end);
}

/** The primary group stands first among the supplementary ones: without it, dropping groups would drop it (CVE-2022-36109). */
function userOf(user: ResolvedUser): OciUser {
  return { uid: user.uid, gid: user.gid, additionalGids: [...new Set([user.gid, ...user.additionalGids])] };
}

/** Plans the `process` of a container, apart from what security.ts adds. */
export function planProcess(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  context: {
    hostname: string;
    user: ResolvedUser;
    withInit: boolean;
    variables: readonly string[];
    /** As with Docker, a score that cannot be given becomes the least that can. */
    oomScoreMin: number;
  },
): OciProcess {
  const tty = config.Tty ?? false;
  const [height = 0, width = 0] = hostConfig.ConsoleSize ?? [];
  return {
    ...(tty ? { terminal: true } : {}),
    ...(tty && height > 0 && width > 0 ? { consoleSize: { height, width } } : {}),
    user: userOf(context.user),
    args: [...(context.withInit ? [CONTAINER_INIT_PATH, "--"] : []), ...commandOf(config)],
    env: environment(config.Env ?? [], {
      hostname: context.hostname,
      tty,
      home: context.user.home,
      before: context.variables,
    }),
    cwd: cleanDirectory(config.WorkingDir) || "/",
    oomScoreAdj: Math.max(hostConfig.OomScoreAdj ?? 0, context.oomScoreMin),
  };
}

/** The path where Docker puts its init, whichever program that is. */
export const CONTAINER_INIT_PATH = "/sbin/docker-init";

/** Cleans an absolute path. A relative one, which is refused elsewhere, stays as it is. */
function cleanDirectory(directory: string | null | undefined): string {
  return directory?.startsWith("/") ? posix.resolve(directory) : (directory ?? "");
}

/** What an exec asks for; `Cmd` is never empty. */
export interface ExecOptions {
  Cmd: readonly string[];
  Env?: readonly string[];
  WorkingDir?: string;
  Privileged?: boolean;
  Tty?: boolean;
  /** The size of the terminal, [height, width]. */
  ConsoleSize?: readonly number[];
}

/**
 * Plans the `process` of an exec in a running container: the container's limits, no-new-privileges and labels; its environment
 * with the exec's over it, TERM and HOME being the exec's own; all capabilities if privileged. The container's seccomp filter
 * applies in any case, as with Docker.
 * @throws LighterError "invalid"
 */
export function buildExecProcess(input: {
  container: { oci: OciConfig; config: DockerContainerConfig; hostConfig: DockerHostConfig };
  exec: ExecOptions;
  user: ResolvedUser;
  linkVariables?: readonly string[];
  /** The host's `HostFacts.capabilities`. */
  capabilities: readonly Capability[];
}): OciProcess {
  const { container, exec, user } = input;
  if (exec.Cmd.length === 0) throw invalid("No exec command specified");
  for (const variable of exec.Env ?? [])
    if (variable === "" || variable.startsWith("=")) throw invalid(`invalid environment variable: ${variable}`);
  const tty = exec.Tty ?? false;
  const [height = 0, width = 0] = exec.ConsoleSize ?? [];
  const { terminal: _terminal, consoleSize: _size, ...inherited } = container.oci.process ?? { cwd: "/" };
  const hostname = container.oci.hostname ?? hostnameIn(inherited.env);
  return {
    ...inherited,
    ...(tty ? { terminal: true } : {}),
    ...(tty && height > 0 && width > 0 ? { consoleSize: { height, width } } : {}),
    user: userOf(user),
    args: [...exec.Cmd],
    env: environment([...(container.config.Env ?? []), ...(exec.Env ?? [])], {
      hostname,
      tty,
      home: user.home,
      before: input.linkVariables ?? [],
    }),
    cwd: cleanDirectory(exec.WorkingDir || container.config.WorkingDir) || "/",
    capabilities: planCapabilities(
      exec.Privileged ? { ...container.hostConfig, Privileged: true } : container.hostConfig,
      input.capabilities,
    ),
  };
}

/** Reads the hostname from the environment: with the host's UTS namespace the config has none. */
function hostnameIn(env: readonly string[] | undefined): string {
  return env?.find((variable) => variable.startsWith("HOSTNAME="))?.slice("HOSTNAME=".length) ?? "";
}
