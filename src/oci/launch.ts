/** Takes `create` and `run` from a bundle to a container whose init waits; has what all commands need to know of a container. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import { launcherPath } from "../embedded.ts";
import { type CgroupHost, effectiveCgroupsPath } from "../linux/cgroup/mod.ts";
import { readProcessStat } from "../linux/process/process-stat.ts";
import { makeFifo } from "../linux/sys/fifo.ts";
import { connectUnixFd, sendWithFd } from "../linux/sys/unix-socket.ts";
import { parseScopePath } from "../linux/systemd/unit-name.ts";
import type { HandOver, Runtime, StartRequest, StdioPlan } from "../runtime/mod.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { readBundle } from "./bundle.ts";
import { cgroupHost } from "./cgroup.ts";
import type { OciContext } from "./command.ts";
import type { Parsed } from "./flags.ts";
import { createState, type StateHandle } from "./state.ts";

/** Opens the runtime. It is imported on demand: most commands start no process. */
export async function openRuntime(): Promise<Runtime> {
  const { createRuntime } = await import("../runtime/mod.ts");
  return createRuntime({ launcher: () => readFileSync(launcherPath), cgroups: cgroupHost() });
}

/** Prepares the seccomp filter. Its modules are imported on demand. */
export async function prepareFilter(root: string, { linux }: OciConfig): Promise<void> {
  if (linux?.seccomp === undefined) return;
  const { rememberFilter } = await import("./filter-cache.ts");
  await rememberFilter(root, linux.seccomp);
}

/** Throws a start's error with the words that runc puts before it, which users know. */
export function rethrowAsStartFailure(error: unknown): never {
  if (!(error instanceof LighterError)) throw error;
  throw new LighterError(error.code, `unable to start container process: ${error.message}`, error.detail);
}

/** The config with the paths that hold for this container, whatever the current directory is. */
export function effectiveConfig({ state, config }: StateHandle): OciConfig {
  const { linux = {}, mounts = [] } = config;
  const { cgroupsPath: _, ...rest } = linux;
  return {
    ...config,
    root: { ...config.root, path: state.rootfs },
    mounts: mounts.map((mount) => ({
      ...mount,
      destination: destinationIn(state.rootfs, mount.destination),
      ...(mount.source && isBind(mount) ? { source: resolve(state.bundle, mount.source) } : {}),
    })),
    linux: state.cgroupsPath === "" ? rest : { ...rest, cgroupsPath: state.cgroupsPath },
  };
}

/**
 * A mount's destination as runc reads it: a relative one begins at the root, and one that names the root from outside is below
 * it.
 */
function destinationIn(rootfs: string, destination: string): string {
  if (!destination.startsWith("/")) return `/${destination}`;
  return destination.startsWith(`${rootfs}/`) ? destination.slice(rootfs.length) : destination;
}

function isBind({ type, options = [] }: NonNullable<OciConfig["mounts"]>[number]): boolean {
  return type === "bind" || options.includes("bind") || options.includes("rbind");
}

interface LaunchOptions {
  /** Whether the process becomes the child of the caller's parent. If not, it is its supervisor's, and this command stays. */
  detach: boolean;
  /** Whether the remains of an ended container, its cgroup included, stay until somebody deletes them. */
  keep?: boolean;
}

/** What `create` and `run` have in common, up to the request for the runtime. The caller disposes of `handle`. */
export interface Prepared {
  handle: StateHandle;
  config: OciConfig;
  request: StartRequest;
  /** Closes what only the start needs: the descriptors of the FIFO and of the console socket. */
  close: () => void;
}

/**
 * Reads the bundle, writes the state, opens what the start needs.
 * @throws LighterError; then no state is left
 */
export function prepare(context: OciContext, id: string, parsed: Parsed, { detach, keep }: LaunchOptions): Prepared {
  const bundle = readBundle(parsed.string("bundle") ?? ".");
  const { process } = bundle.config;
  if (process === undefined) throw new LighterError("invalid", "process property must not be empty");
  const consoleSocket = parsed.string("console-socket");
  const terminal = process.terminal ?? false;
  checkConsole(terminal, consoleSocket, detach);
  const listenFds = Number(globalThis.process.env.LISTEN_FDS ?? "0") || 0;
  const preserveFds = checkPreserved((parsed.integer("preserve-fds") ?? 0) + listenFds);

  const host = cgroupHost();
  const rootless = isRootless(context);
  const handle = createState(
    context.root,
    id,
    {
      bundle: bundle.path,
      rootfs: bundle.rootfs,
      cgroupsPath: rootless && !context.systemdCgroup ? "" : cgroupsPathOf(context, host, bundle.config, id),
      systemdCgroup: context.systemdCgroup,
      rootless,
    },
    bundle.configBytes,
  );
  handle.knowConfig(bundle.config);
  const fds: number[] = [];
  const close = () => {
    for (const fd of fds.splice(0)) closeSync(fd);
  };
  try {
    checkRootfs(handle.state.rootfs);
    const handOver: HandOver = {};
    if (detach) {
      makeFifo(handle.execFifoPath);
      handOver.startFifoFd = openSync(handle.execFifoPath, constants.O_RDWR);
      fds.push(handOver.startFifoFd);
      if (consoleSocket !== undefined) {
        handOver.consoleSocketFd = connectUnixFd(resolve(consoleSocket));
        fds.push(handOver.consoleSocketFd);
      }
    }
    for (const { destination } of bundle.config.mounts ?? [])
      if (!destination.startsWith("/"))
        context.log.warn(`mount destination ${JSON.stringify(destination)} is not absolute: it is taken from the root`);
    const config = withListenFds(effectiveConfig(handle), listenFds);
    const request: StartRequest = {
      id,
      config: handle.state.cgroupsPath === "" ? withoutCgroup(config) : config,
      rootfs: [],
      runDirectory: handle.directory,
      bundle: handle.state.bundle,
      stdio: stdioOf(terminal, !detach),
      preserveFds,
      attach: [],
      ...told(context),
      ...(parsed.boolean("no-pivot") ? { noPivot: true } : {}),
      ...(parsed.boolean("no-new-keyring") ? { noNewKeyring: true } : {}),
      ...(detach ? { handOver } : {}),
      ...(keep ? { keepCgroup: true } : {}),
      ...(context.systemdCgroup ? { placeInCgroup: placerInScope(handle) } : {}),
    };
    return { handle, config: request.config, request, close };
  } catch (error) {
    close();
    handle.remove();
    throw error;
  }
}

/** Handlers that write the runtime's messages to the log. */
export function told({ log, debug }: OciContext): Pick<StartRequest, "onWarning" | "onOp"> {
  return { onWarning: (warning) => log.warn(warning), ...(debug ? { onOp: (line) => log.debug(line) } : {}) };
}

/** The process's stdio. In the foreground a terminal's bytes go to this command's terminal, which ends lines itself. */
export function stdioOf(terminal: boolean, inForeground: boolean): StdioPlan {
  if (!terminal) return { terminal: false, stdin: false, inherit: true };
  return { terminal: true, stdin: true, ...(inForeground ? { plainLines: true } : {}) };
}

export function checkConsole(terminal: boolean, consoleSocket: string | undefined, detach: boolean): void {
  if (terminal && detach && consoleSocket === undefined)
    throw new LighterError("invalid", "cannot allocate tty if runc will detach without setting console socket");
  if (consoleSocket !== undefined && !(terminal && detach))
    throw new LighterError("invalid", "cannot use console socket if runc will not detach or allocate tty");
}

/** Checks `--preserve-fds`. @throws LighterError ("invalid") for an fd that is not open */
export function checkPreserved(count: number): number {
  for (let fd = 3; fd < 3 + count; fd++)
    try {
      fstatSync(fd);
    } catch (cause) {
      throw new LighterError("invalid", `--preserve-fds: file descriptor ${fd} is not open`, { cause });
    }
  return count;
}

function checkRootfs(path: string): void {
  let problem = "";
  try {
    if (!statSync(path).isDirectory()) problem = "not a directory";
  } catch (error) {
    problem = errnoOf(error) === "ENOENT" ? "no such file or directory" : messageOf(error);
  }
  if (problem !== "") throw new LighterError("invalid", `invalid rootfs "${path}": ${problem}`);
}

/** Passes on the descriptors of socket activation; its variables name the container's first process. Source: sd_listen_fds(3). */
function withListenFds(config: OciConfig, count: number): OciConfig {
  if (count === 0 || !config.process) return config;
  const env = [...(config.process.env ?? []), `LISTEN_FDS=${count}`, "LISTEN_PID=1"];
  return { ...config, process: { ...config.process, env } };
}

function isRootless({ rootless }: OciContext): boolean {
  return rootless === "auto" ? process.geteuid?.() !== 0 : rootless;
}

/** The config without a cgroup and limits, for users who may make no cgroups. */
function withoutCgroup(config: OciConfig): OciConfig {
  const { cgroupsPath: _path, resources: _resources, ...linux } = config.linux ?? {};
  return { ...config, linux };
}

function cgroupsPathOf(context: OciContext, host: CgroupHost, config: OciConfig, id: string): string {
  const asked = config.linux?.cgroupsPath;
  if (context.systemdCgroup) return parseScopePath(asked, id, isRootless(context)).cgroupsPath;
  return effectiveCgroupsPath(host, asked, id);
}

/** A function that has systemd make the cgroup: a scope with init in it. */
function placerInScope(handle: StateHandle): NonNullable<StartRequest["placeInCgroup"]> {
  return async (pid, plan, host) => {
    const { completeScope, startScope } = await import("../linux/systemd/scope.ts");
    const { withBuiltinDevices } = await import("../runtime/mod.ts");
    const { config, state } = handle;
    recordPid(handle, pid);
    const scope = parseScopePath(config.linux?.cgroupsPath, state.id, state.rootless);
    const resources = withBuiltinDevices(config.linux?.resources);
    try {
      await startScope({ host, scope, user: state.rootless, resources }, pid, config.annotations ?? {});
    } catch (error) {
      if (error instanceof LighterError && error.code === "conflict") state.pid = 0; // the scope is another's, so it is not removed
      throw error;
    }
    completeScope(host, plan, pid);
  };
}

/** Removes the scope that `placerInScope` made. */
export async function removeScope({ state, config }: StateHandle): Promise<void> {
  const { stopScope } = await import("../linux/systemd/scope.ts");
  await stopScope(parseScopePath(config.linux?.cgroupsPath, state.id, state.rootless), state.rootless);
}

/** Writes down init's pid, so that `delete --force` can kill it if this command dies now. */
export function recordPid(handle: StateHandle, pid: number): void {
  const found = readProcessStat(pid);
  handle.state.pid = pid;
  handle.state.pidStartTime = found?.startTime ?? 0;
  handle.save();
}

/** Sends a pidfd of the process to the listener at the socket. The text beside it is the one that runc sends. */
export async function sendPidfd(socketPath: string | undefined, pid: number): Promise<void> {
  if (socketPath === undefined) return;
  const { openPidfd } = await import("../linux/sys/pidfd.ts");
  const socket = connectUnixFd(resolve(socketPath));
  try {
    const pidfd = openPidfd(pid);
    try {
      sendWithFd(socket, Buffer.from("pidfd"), pidfd);
    } finally {
      closeSync(pidfd);
    }
  } finally {
    closeSync(socket);
  }
}

/** Writes the pid file in one step: a caller that sees the file sees the whole number. */
export function writePidFile(given: string | undefined, pid: number): void {
  if (given === undefined) return;
  const { path, temporary } = pidFilePaths(given);
  writeFileSync(temporary, String(pid), { mode: 0o666 });
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

export function pidFilePaths(given: string): { path: string; temporary: string } {
  const path = resolve(given);
  return { path, temporary: join(dirname(path), `.${basename(path)}`) };
}
