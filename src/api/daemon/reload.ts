/** Handles SIGHUP: reads the configuration and applies the settings that Docker reloads, too. */
import { hostname } from "node:os";
import { messageOf } from "../../base/errors.ts";
import { configureLog, log } from "../../base/log.ts";
import { openRegistries } from "../../engine/mod.ts";
import { type DaemonOptions, parseDaemonOptions } from "../config/options.ts";
import { SETTINGS, type Values } from "../config/settings.ts";
import type { Daemon } from "./daemon-state.ts";

/** Reloads the configuration. A wrong one changes nothing. */
export function reload(daemon: Daemon, args: readonly string[], old: DaemonOptions): void {
  log.info(`Got signal to reload configuration, reloading from: ${old.given.configPath ?? "no file"}`);
  try {
    const options = parseDaemonOptions(args);
    if (options === undefined) return; // cannot be: a daemon that runs was not asked for help
    warnOfFixed(old.given.values, options.given.values);
    applyReloadable(daemon, options);
    const now = describeReloadable(options);
    log.info(`Reloaded configuration: ${JSON.stringify(now)}`);
    const attributes = Object.entries(now).map(([key, value]) => [key, show(value)]);
    daemon.engine.events.publish("daemon", "reload", daemon.engine.id, {
      ...Object.fromEntries(attributes),
      name: hostname(),
    });
  } catch (error) {
    log.error(`reload the configuration: ${messageOf(error)}`);
  }
}

/** Applies the reloadable settings, at a reload and when the daemon begins. */
export function applyReloadable(daemon: Daemon, options: DaemonOptions): void {
  configureLog(options.log);
  daemon.images.maxLayersAtOnce = options.maxDownloads;
  daemon.registries = openRegistries(options.registry);
  // These settings need a restart.
  const { logDriver, seccompProfile, noNewPrivileges, addressPools, openDoors, ownNames } = daemon.settings;
  const { runtimes, defaultRuntime, cgroupDriver } = daemon.settings;
  const fixed = { logDriver, seccompProfile, noNewPrivileges, addressPools, openDoors, ownNames };
  daemon.settings = { ...options, ...fixed, runtimes, defaultRuntime, cgroupDriver };
}

/** The reloadable settings by their key in daemon.json, for the log and for the event. */
function describeReloadable(options: DaemonOptions): Record<string, unknown> {
  return {
    debug: options.debug,
    features: options.features,
    labels: options.labels,
    "live-restore": true,
    "max-concurrent-downloads": options.maxDownloads ?? 0,
    "max-concurrent-uploads": options.maxUploads,
    "max-download-attempts": options.downloadAttempts,
    "registry-mirrors": options.registry.mirrors ?? [],
    "insecure-registries": options.registry.insecureRegistries ?? [],
    "shutdown-timeout": options.shutdownTimeoutS,
  };
}

function show(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function warnOfFixed(old: Values, now: Values): void {
  const changed = (Object.keys(SETTINGS) as (keyof Values)[]).filter(
    (key) => SETTINGS[key].reloads !== true && JSON.stringify(old[key]) !== JSON.stringify(now[key]),
  );
  if (changed.length > 0) log.warn(`changed, and needs a restart to count: ${changed.join(", ")}`);
}
