/**
 * What a container's health is, from its check and its results. Pure: times come from the caller.
 * Defaults and rules are Docker's.
 */
import type { DockerContainerConfig } from "../../spec/docker-api.ts";

type HealthStatus = "starting" | "healthy" | "unhealthy";

export interface HealthResult {
  /** RFC 3339. */
  start: string;
  end: string;
  /** -1: it could not be run, or took too long. */
  exitCode: number;
  output: string;
}

export interface HealthRecord {
  status: HealthStatus;
  failingStreak: number;
  /** Oldest first. */
  log: HealthResult[];
}

export interface HealthCheck {
  command: string[];
  intervalMs: number;
  timeoutMs: number;
  /** So long after a start, failures do not count, and the check runs at another interval, until it succeeds. */
  startPeriodMs: number;
  startIntervalMs: number;
  retries: number;
}

const MAX_RESULTS = 5;
const DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5000, retries: 3 };
const DEFAULT_SHELL = ["/bin/sh", "-c"];
const NS_PER_MS = 1e6;

/** Undefined: the container has no check, or it is switched off. */
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
    // The default is to look sooner at the beginning, never later.
    startIntervalMs: ms(given?.StartInterval, Math.min(DEFAULTS.startIntervalMs, intervalMs)),
    retries: given?.Retries || DEFAULTS.retries,
  };
}

/** Of a container that has just started; what was found in its last run is still told. */
export function startingHealth(
  config: DockerContainerConfig,
  last: HealthRecord | undefined,
): HealthRecord | undefined {
  if (healthCheckOf(config) === undefined) return undefined;
  return { status: "starting", failingStreak: 0, log: last?.log ?? [] };
}

/** Nobody looks any more. That this is "unhealthy" is Docker's choice. */
export function unwatchedHealth(health: HealthRecord): HealthRecord {
  return { ...health, status: "unhealthy" };
}

/** `sinceStartMs`: from the container's start to the check's. */
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

/** Until the next check, from now. */
export function nextCheckMs(health: HealthRecord, check: HealthCheck, sinceStartMs: number): number {
  const isStarting = health.status === "starting" && sinceStartMs < check.startPeriodMs;
  return isStarting ? check.startIntervalMs : check.intervalMs;
}
