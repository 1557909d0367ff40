import { expect, test } from "bun:test";
import { nextDelayMs, wantsRestart, wantsStartAtBoot } from "./restarts.ts";

const end = { exitCode: 0, manuallyStopped: false, restartCount: 0 };

test.each([
  ["no", {}, false],
  ["always", {}, true],
  ["always", { manuallyStopped: true }, true],
  ["unless-stopped", {}, true],
  ["unless-stopped", { manuallyStopped: true }, false],
  ["on-failure", {}, false],
  ["on-failure", { exitCode: 1 }, true],
  ["on-failure", { exitCode: 1, restartCount: 99 }, true],
] as const)("%s after %j", (Name, changes, expected) => {
  expect(wantsRestart({ Name }, { ...end, ...changes })).toBe(expected);
});

test("on-failure:3 starts a container three times more", () => {
  const policy = { Name: "on-failure", MaximumRetryCount: 3 };
  const wants = [0, 1, 2, 3].map((restartCount) => wantsRestart(policy, { ...end, exitCode: 1, restartCount }));
  expect(wants).toEqual([true, true, true, false]);
});

test("a container without a policy is not started", () => {
  expect(wantsRestart(undefined, { ...end, exitCode: 1 })).toBe(false);
  expect(wantsRestart(null, { ...end, exitCode: 1 })).toBe(false);
});

test("a daemon that begins starts `always` also after a stop by hand, `on-failure` does not", () => {
  const stopped = { ...end, exitCode: 137, manuallyStopped: true };
  expect(wantsStartAtBoot({ Name: "always" }, stopped)).toBe(true);
  expect(wantsStartAtBoot({ Name: "unless-stopped" }, stopped)).toBe(false);
  expect(wantsStartAtBoot({ Name: "on-failure" }, stopped)).toBe(false);
  expect(wantsStartAtBoot({ Name: "on-failure" }, { ...stopped, manuallyStopped: false })).toBe(true);
});

test("delays double from 100 ms to a minute, and begin anew after a run of ten seconds", () => {
  const delays = [nextDelayMs(0, 50)];
  while (delays.length < 12) delays.push(nextDelayMs(delays.at(-1)!, 50));
  expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
  expect(nextDelayMs(60_000, 10_000)).toBe(100);
  expect(nextDelayMs(6400, 9999)).toBe(12800);
});
