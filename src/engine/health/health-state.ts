/**
 * Computes a container's health from its check and its results. Pure: times come from the caller. Defaults and rules are
 * Docker's.
 */
import type { DockerContainerConfig } from "../../spec/docker-api.ts";

type HealthStatus = "starting" | "healthy" | "unhealthy";

export interface HealthResult {
  /** The time of the start, RFC 3339. */
  start: string;
  end: string;
  /** The exit code; -1: the check could not be run, or took too long. */
  exitCode: number;
  output: string;
}

export interface HealthRecord {
  status: HealthStatus;
  failingStreak: number;
  /** The last results, oldest first. */
  log: HealthResult[];
}

export interface HealthCheck {
  command: string[];
  intervalMs: number;
  timeoutMs: number;
  /** The time from a start during which failures do not count, and the check runs at another interval, until it succeeds. */
  startPeriodMs: number;
  startIntervalMs: number;
  retries: number;
}

const MAX_RESULTS = 5;
const DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5000, retries: 3 };
const DEFAULT_SHELL = ["/bin/sh", "-c"];
const NS_PER_MS = 1e6;

/** Reads the check of a container; undefined if it has none, or if it is switched off. */
export function healthCheckOf(config: DockerContainerConfig): HealthCheck | undefined {
  const { Healthcheck: given } = config;
  const [kind, ...words] = given?.Test ?? [];
  const shell = config.Shell != null && config.Shell.length > 0 ? config.Shell : DEFAULT_SHELL;
  const command = kind === "CMD" ? words : kind === "CMD-SHELL" ? [...shell, ...words] : undefined;
  if (command === undefined) return undefined;
  const ms = (ns: number | null | undefined, fallback: number) => (ns ? ns / NS_PER_MS : fallback);
  const intervalMs = ms(given?.Interval, DEFAULTS.intervalMs);
  return {
    command,
    intervalMs,
    timeoutMs: ms(given?.Timeout, DEFAULTS.timeoutMs),
    startPeriodMs: ms(given?.StartPeriod, DEFAULTS.startPeriodMs),
    // By default the check runs sooner at the beginning, never later.
    startIntervalMs: ms(given?.StartInterval, Math.min(DEFAULTS.startIntervalMs, intervalMs)),
    retries: given?.Retries || DEFAULTS.retries,
  };
}

/** Returns the health of a container that has just started; results of its last run are kept. */
export function startingHealth(
  config: DockerContainerConfig,
  last: HealthRecord | undefined,
): HealthRecord | undefined {
  if (healthCheckOf(config) === undefined) return undefined;
  return { status: "starting", failingStreak: 0, log: last?.log ?? [] };
}

/** Returns the health when nobody looks any more. That this is "unhealthy" is Docker's choice. */
export function unwatchedHealth(health: HealthRecord): HealthRecord {
  return { ...health, status: "unhealthy" };
}

/** Adds a result. `sinceStartMs`: from the container's start to the check's. */
export function withResult(
  health: HealthRecord,
  check: HealthCheck,
  result: HealthResult,
  sinceStartMs: number,
): HealthRecord {
  const log = [...health.log, result].slice(-MAX_RESULTS);
  if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
  if (health.status === "starting" && sinceStartMs < check.startPeriodMs) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= check.retries ? "unhealthy" : health.status, failingStreak, log };
}

/** Returns the time until the next check, from now. */
export function nextCheckMs(health: HealthRecord, check: HealthCheck, sinceStartMs: number): number {
  const isStarting = health.status === "starting" && sinceStartMs < check.startPeriodMs;
  return isStarting ? check.startIntervalMs : check.intervalMs;
}
