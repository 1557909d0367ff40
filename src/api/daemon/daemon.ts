/** Starts the daemon, and keeps it the only one on its directories. */
import { constants, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import type { Socket } from "node:net";
import { join, resolve } from "node:path";
import { LighterError, messageOf } from "../../base/errors.ts";
import { DAEMON_IDLE_MS, DEAD_OWNER_TIMEOUT_MS, DOOMED_OWNER_TIMEOUT_MS } from "../../base/limits.ts";
import { configureLog, log } from "../../base/log.ts";
import {
  EnginePaths,
  lockExclusiveWithin,
  openEngine,
  releaseTextPages,
  renewLockedFiles,
  takeOwnedLock,
} from "../../engine/mod.ts";
import { Jobs } from "../buildkit/jobs.ts";
import { Sessions } from "../buildkit/sessions.ts";
import { type DaemonOptions, parseDaemonOptions } from "../config/options.ts";
import { describeSettings } from "../config/values.ts";
import { describeOpenDoor, listen, listenForMetrics } from "../http/listen.ts";
import { Router } from "../http/router.ts";
import { routes } from "../http/routes.ts";
import { createAcceptor } from "../http/server.ts";
import { whenIdle } from "../streams/idle.ts";
import { Metrics } from "../system/request-metrics.ts";
import type { Daemon } from "./daemon-state.ts";
import { ServiceManager } from "./notify.ts";
import { applyReloadable, reload } from "./reload.ts";
import { createRest } from "./rest.ts";

const HELP = `Usage: lighter daemon [OPTIONS]

Serves the API and keeps the state of containers and images. Logs to standard error.
Containers do not need it: it may be ended at any time, even by SIGKILL, and the next one takes over.

Each option is also a key of the configuration file, in the form of Docker's daemon.json; lists have their name in the
plural there. SIGHUP reads the file again and makes new values count where the option has a star.

Options:
${describeSettings()}      --config-file PATH                     settings in JSON (default "/etc/lighter/daemon.json")
      --validate                             check the settings and end
      --recover                              take back what a lost or damaged database does not know
      --help                                 print this
`;

/**
 * Runs `lighter daemon`. Resolves with an exit code if the daemon could not begin (125 for wrong usage, as with all commands),
 * otherwise never.
 */
export async function daemonMain(args: string[]): Promise<number> {
  let options: DaemonOptions | undefined;
  try {
    options = parseDaemonOptions(args);
    if (options === undefined) {
      process.stdout.write(HELP);
      return 0;
    }
    if (options.given.validateOnly) {
      process.stdout.write("configuration OK\n");
      return 0;
    }
    await serve(options, args);
  } catch (error) {
    console.error(`lighter daemon: ${describeError(error)}`);
    return options === undefined ? 125 : 1;
  }
  return await new Promise<never>(() => {}); // only a signal ends the daemon
}

function describeError(error: unknown): string {
  const hint = error instanceof LighterError ? error.detail.hint : undefined;
  return hint === undefined ? messageOf(error) : `${messageOf(error)}\n${hint}`;
}

async function serve(options: DaemonOptions, args: readonly string[]): Promise<void> {
  const manager = new ServiceManager(process.env, process.pid);
  configureLog(options.log);
  // Each directory is created with explicit permissions, whatever umask the daemon was started with.
  process.umask(0o022);
  // SIGTERM ends the daemon as abruptly as SIGKILL, but with exit code 0: the service manager sees no failure.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
  let onReload = () => {}; // does nothing for a SIGHUP that comes before there is anything to reload
  process.on("SIGHUP", () => onReload());
  // One client's operation that fails in an unforeseen way must not end the others'.
  process.on("uncaughtException", (error) => logBug(error));
  process.on("unhandledRejection", (error) => logBug(error));
  const { dataRoot, execRoot, registry, defaults, networks, usernsRemap, pidPath, runtimes, cdiDirectories, buildGc } =
    options;
  mkdirSync(execRoot, { recursive: true, mode: 0o711 });
  const takesOver = await lockExecRoot(execRoot, dataRoot);
  if (takesOver && pidPath !== undefined) rmSync(pidPath, { force: true });
  if (pidPath !== undefined) await takePidFile(pidPath);
  const opened = await openEngine({
    ...{ dataRoot, execRoot, registry, defaults, usernsRemap, runtimes, cdiDirectories, buildGc },
    ...(options.buildDownloadMaxBytes === undefined ? {} : { buildDownloadMaxBytes: options.buildDownloadMaxBytes }),
    networkSettings: networks,
    recover: options.given.recover,
  });
  const settings = {
    ...options,
    logDriver: defaults.log.driver,
    seccompProfile: options.given.values["seccomp-profile"] || "builtin",
    noNewPrivileges: defaults.noNewPrivileges,
    defaultRuntime: defaults.runtime,
    cgroupDriver: defaults.cgroupDriver,
    addressPools: options.given.values["default-address-pools"] ?? [],
    ownNames: options.hosts.flatMap((host) => (host.kind === "tcp" ? [host.hostname] : [])),
    openDoors: options.hosts.flatMap((host) => describeOpenDoor(host, options.tls) ?? []),
  };
  const daemon: Daemon = {
    ...opened,
    settings,
    metrics: new Metrics(),
    clientSessions: new Map(),
    buildkit: { jobs: new Jobs(), sessions: new Sessions() },
  };
  applyReloadable(daemon, options);
  const touch = whenIdle(DAEMON_IDLE_MS, createRest());
  const serveConnection = createAcceptor(daemon, new Router(routes), { onRequest: touch });
  const accept = (socket: Socket) => {
    touch();
    serveConnection(socket);
  };
  for (const host of options.hosts) await listen(host, { ...options, manager, accept, takesOver });
  if (options.criPath !== undefined)
    await serveKubernetes(daemon, options.criPath, { cni: options.cni, manager, takesOver });
  if (options.otlpEndpoint !== undefined || hasOtlpVariable(process.env))
    await (await import("../tracing/tracing.ts")).beginTracing(options.otlpEndpoint);
  if (options.metrics !== undefined) await listenForMetrics(daemon, options.metrics);
  onReload = () => reload(daemon, args, options);
  for (const trash of opened.trashes) trash.begin();
  manager.tell("READY=1", `MAINPID=${process.pid}`);
  setImmediate(releaseTextPages); // gives back the pages that only start-up needed
}

/** Whether the environment names a collector of traces. */
function hasOtlpVariable(env: Readonly<Record<string, string | undefined>>): boolean {
  return Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
}

/** Serves Kubernetes' runtime interface. Only root may connect: whoever does is root on the host. */
async function serveKubernetes(
  daemon: Daemon,
  path: string,
  { cni, ...options }: Pick<DaemonOptions, "cni"> & { manager: ServiceManager; takesOver: boolean },
): Promise<void> {
  const { createCri } = await import("../../cri/mod.ts");
  const { engine, images, host } = daemon;
  const accept = createCri({
    ...{ engine, images, host },
    registries: () => daemon.registries,
    downloadAttempts: () => daemon.settings.downloadAttempts,
    cgroupDriver: daemon.settings.cgroupDriver,
    cni,
  });
  await listen({ kind: "unix", path }, { ...options, group: "0", tls: undefined, accept });
}

function logBug(error: unknown): void {
  log.error(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}

/**
 * Locks the exec root until this process ends, however it ends. Resolves with true if the previous daemon was killed and cannot
 * end: then what it holds is taken over.
 * @throws LighterError "conflict"
 */
async function lockExecRoot(execRoot: string, dataRoot: string): Promise<boolean> {
  const path = join(execRoot, "daemon.lock");
  const patience = { endMs: DEAD_OWNER_TIMEOUT_MS, doomedMs: DOOMED_OWNER_TIMEOUT_MS };
  const owner = await takeOwnedLock(path, resolve(dataRoot), patience);
  if (owner === undefined) throw new LighterError("conflict", `"${path}" is locked: another daemon is running here`);
  if (owner === null) return false;
  log.warn(
    `the daemon of ${owner.startedAt}, process ${owner.pid}, was killed and cannot end, as it waits for a file system: taking over`,
  );
  if (owner.note === resolve(dataRoot)) renewLockedFiles(new EnginePaths(dataRoot, execRoot));
  return true;
}

/**
 * Writes the process id, and keeps the file locked until the daemon ends. A file left by a daemon that has ended does not matter,
 * whoever has its number now.
 * @throws LighterError "conflict" if it is another daemon's
 */
async function takePidFile(path: string): Promise<void> {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  if (!(await lockExclusiveWithin(fd, DEAD_OWNER_TIMEOUT_MS))) {
    const pid = readFileSync(path, "utf8").trim();
    throw new LighterError("conflict", `pidfile: "${path}" is that of a daemon which runs, process ${pid}`);
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}`);
}
