/** What the daemon's handlers share: the engine, its settings, the registries. */
import {
  type ContainerDefaults,
  type NetworkSettings,
  type OpenedEngine,
  RUNTIME_NAME,
  type RuntimeTable,
} from "../../engine/mod.ts";
import type { ClientSessions } from "../build/client-session.ts";
import type { Jobs } from "../buildkit/jobs.ts";
import type { Sessions } from "../buildkit/sessions.ts";
import type { ReloadableOptions } from "../config/options.ts";
import type { Metrics } from "../system/request-metrics.ts";

/** The daemon's settings that handlers use. */
interface DaemonSettings extends ReloadableOptions {
  /** The log driver of new containers, also shown by `info`. */
  logDriver: string;
  /** The seccomp profile: a path, "builtin" or "unconfined". */
  seccompProfile: string;
  noNewPrivileges: boolean;
  cgroupDriver: ContainerDefaults["cgroupDriver"];
  /** Additional runtimes, beside the built-in one. */
  runtimes: RuntimeTable;
  defaultRuntime: string;
  /** The given address pools; empty if none were given. */
  addressPools: NetworkSettings["addressPools"];
  /** Warnings about addresses at which anybody may connect. */
  openDoors: readonly string[];
  /** The names and addresses that the daemon was told to listen at by TCP. */
  ownNames: readonly string[];
  /** True if lists leave out what belongs to pods. */
  hidesPods: boolean;
}

/** What every handler may use. A reload replaces `settings` and `registries`. */
export interface Daemon extends OpenedEngine {
  settings: DaemonSettings;
  readonly metrics: Metrics;
  /** The builds of BuildKit's clients, and their sessions. */
  /** The sessions of clients like `lighter build`. */
  readonly clientSessions: ClientSessions;
  readonly buildkit: { readonly jobs: Jobs; readonly sessions: Sessions };
}

/** The number of removed objects whose files are not deleted yet, or cannot be. */
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
  cgroupDriver: "cgroupfs",
  runtimes: {},
  defaultRuntime: RUNTIME_NAME,
  addressPools: [],
  openDoors: [],
  ownNames: [],
  hidesPods: false,
};
