import { type NetworkSettings, type OpenedEngine, RUNTIME_NAME, type RuntimeTable } from "../../engine/mod.ts";
import type { ReloadableOptions } from "../config/options.ts";
import type { Metrics } from "../system/request-timings.ts";

/** What of the daemon's settings handlers use. */
interface DaemonSettings extends ReloadableOptions {
  /** For new containers; shown by `info`. */
  logDriver: string;
  /** A path, "builtin" or "unconfined". */
  seccompProfile: string;
  noNewPrivileges: boolean;
  /** Beside ours. */
  runtimes: RuntimeTable;
  defaultRuntime: string;
  /** As given; empty: none were. */
  addressPools: NetworkSettings["addressPools"];
  /** Warnings about addresses at which anybody may connect. */
  openDoors: readonly string[];
  /** Names, or addresses, at which it was told to listen by TCP. */
  ownNames: readonly string[];
}

/** What every handler may use. A reload replaces `settings` and `registries`. */
export interface Daemon extends OpenedEngine {
  settings: DaemonSettings;
  readonly metrics: Metrics;
}

/** What was removed and whose files are not deleted yet, or cannot be. */
export function pendingRemovalCount({ trashes }: Daemon): number {
  return trashes.reduce((sum, { pendingCount }) => sum + pendingCount, 0);
}

export const DEFAULT_SETTINGS: DaemonSettings = {
  debug: false,
  labels: [],
  features: {},
  shutdownTimeoutS: 15,
  registry: {},
  maxDownloads: undefined,
  maxUploads: 5,
  downloadAttempts: 5,
  logDriver: "json-file",
  seccompProfile: "builtin",
  noNewPrivileges: false,
  runtimes: {},
  defaultRuntime: RUNTIME_NAME,
  addressPools: [],
  openDoors: [],
  ownNames: [],
};
