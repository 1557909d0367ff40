import { expect, test } from "bun:test";
import {
  type HealthCheck,
  type HealthRecord,
  healthCheckOf,
  nextCheckMs,
  startingHealth,
  unwatchedHealth,
  withResult,
} from "./health-state.ts";

const check: HealthCheck = {
  command: ["true"],
  intervalMs: 1000,
  timeoutMs: 100,
  startPeriodMs: 0,
  startIntervalMs: 50,
  retries: 2,
};
const start: HealthRecord = { status: "starting", failingStreak: 0, log: [] };

function result(exitCode: number, output = "") {
  return { start: "2026-01-01T00:00:00Z", end: "2026-01-01T00:00:01Z", exitCode, output };
}

/** The statuses and streaks after each exit code. */
function play(exitCodes: readonly number[], sinceStartMs = 1000, plan = check): string[] {
  let health = start;
  return exitCodes.map((exitCode) => {
    health = withResult(health, plan, result(exitCode), sinceStartMs);
    return `${health.status} ${health.failingStreak}`;
  });
}

test("the start interval is the check's where that is shorter, unless it is named", () => {
  const startIntervalOf = (Interval?: number, StartInterval?: number) => {
    const seconds = (value: number | undefined) => (value === undefined ? undefined : value * 1e9);
    const Healthcheck = { Test: ["CMD", "x"], Interval: seconds(Interval), StartInterval: seconds(StartInterval) };
    return healthCheckOf({ Healthcheck })?.startIntervalMs;
  };
  expect([startIntervalOf(), startIntervalOf(30), startIntervalOf(1), startIntervalOf(1, 3)]).toEqual([
    5000, 5000, 1000, 3000,
  ]);
});

test("one success is healthy, so many failures in a row are not", () => {
  expect(play([0, 1, 1, -1, 0])).toEqual(["healthy 0", "healthy 1", "unhealthy 2", "unhealthy 3", "healthy 0"]);
  expect(play([1, 0, 1])).toEqual(["starting 1", "healthy 0", "healthy 1"]);
});

test("failures do not count in the start period, until the first success", () => {
  const slow = { ...check, startPeriodMs: 5000 };
  expect(play([1, 1, 1], 4999, slow)).toEqual(["starting 0", "starting 0", "starting 0"]);
  expect(play([1, 0, 1, 1], 4999, slow)).toEqual(["starting 0", "healthy 0", "healthy 1", "unhealthy 2"]);
  expect(play([1, 1], 5000, slow)).toEqual(["starting 1", "unhealthy 2"]);
});

test("the last five results are kept", () => {
  let health = start;
  for (let index = 0; index < 8; index++) health = withResult(health, check, result(0, String(index)), 0);
  expect(health.log.map(({ output }) => output)).toEqual(["3", "4", "5", "6", "7"]);
});

test("the start interval holds while it starts and the period lasts", () => {
  const slow = { ...check, startPeriodMs: 5000 };
  expect(nextCheckMs(start, slow, 4999)).toBe(50);
  expect(nextCheckMs(start, slow, 5000)).toBe(1000);
  expect(nextCheckMs({ ...start, status: "healthy" }, slow, 10)).toBe(1000);
  expect(nextCheckMs(start, check, 0)).toBe(1000);
});

test("what a config asks for", () => {
  const defaults = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5000, retries: 3 };
  const of = (Test: string[], more: object = {}) => healthCheckOf({ Healthcheck: { Test, ...more } });
  expect(of(["CMD", "test", "-e", "/x"])).toEqual({ command: ["test", "-e", "/x"], ...defaults });
  expect(of(["CMD-SHELL", "exit 1"])?.command).toEqual(["/bin/sh", "-c", "exit 1"]);
  expect(healthCheckOf({ Shell: ["/bin/ash", "-ec"], Healthcheck: { Test: ["CMD-SHELL", "x"] } })?.command).toEqual([
    "/bin/ash",
    "-ec",
    "x",
  ]);
  expect(of(["CMD", "x"], { Interval: 2_500_000, Retries: 7 })).toMatchObject({ intervalMs: 2.5, retries: 7 });
  for (const none of [of(["NONE"]), of([]), of(["OTHER", "x"]), healthCheckOf({})]) expect(none).toBeUndefined();
});

test("a new start begins anew and keeps the log; without a check there is nothing", () => {
  const last = withResult(start, check, result(1, "old"), 0);
  const config = { Healthcheck: { Test: ["CMD", "x"] } };
  expect(startingHealth(config, last)).toEqual({ status: "starting", failingStreak: 0, log: last.log });
  expect(startingHealth({}, last)).toBeUndefined();
  expect(unwatchedHealth(last)).toEqual({ ...last, status: "unhealthy" });
});
