import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { RuntimeCommand } from "../support/runtime-command.ts";
import { isRoot, Stage } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* The runtime with --systemd-cgroup. tests/compat/systemd.test.ts runs this file where systemd is process 1. */

const runsHere = existsSync("/run/systemd/system") && isRoot;
const withSystemd = testIf(runsHere, "systemd does not run here, or not for us");
const stage = runsHere ? new Stage() : undefined;
const command = stage && new RuntimeCommand(stage, ["--systemd-cgroup"]);
const cgroupRoot = stage?.host.v2?.mountPoint;

function show(unit: string, property: string): string {
  return execFileSync("systemctl", ["show", "--value", `--property=${property}`, unit])
    .toString()
    .trim();
}

/** In "lighter-test.slice", or where a config without a path is. */
const inSlice = (name: string) => (config: OciConfig) => {
  config.linux!.cgroupsPath = `lighter-test.slice:oci:${name}`;
  config.linux!.resources = { ...config.linux!.resources, memory: { limit: 2 ** 26 }, blockIO: { weight: 100 } };
};

withSystemd("a container lives in a scope with its limits, and its commands work on that", async () => {
  const id = await command!.start(["sleep", "1000"], inSlice("all"));
  const unit = "oci-all.scope";
  const directory = `${cgroupRoot}/lighter.slice/lighter-test.slice/${unit}`;
  const text = (file: string) => readFileSync(`${directory}/${file}`, "utf8").trim();
  expect([text("memory.max"), show(unit, "MemoryMax")]).toEqual(["67108864", "67108864"]);
  expect([show(unit, "ActiveState"), show(unit, "DevicePolicy")]).toEqual(["active", "strict"]);

  expect(await command!.run(["pause", id])).toMatchObject({ code: 0, stderr: "" });
  expect([await command!.status(id), text("cgroup.freeze")]).toEqual(["paused", "1"]);
  expect(await command!.run(["resume", id])).toMatchObject({ code: 0, stderr: "" });

  const pids = JSON.parse((await command!.run(["ps", "--format", "json", id])).stdout) as number[];
  expect(pids.map(String)).toEqual(text("cgroup.procs").split("\n"));
  const inside = await command!.run(["exec", id, "cat", "/proc/self/cgroup"]);
  expect(inside.stderr).toBe("");
  expect(inside.stdout).toMatch(/^0::\/(lighter\.slice\/lighter-test\.slice\/oci-all\.scope)?$/m);

  const flags = ["--memory", "32M", "--cpu-quota", "15050", "--pids-limit", "30"];
  expect(await command!.run(["update", ...flags, id])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect([text("memory.max"), text("cpu.max"), text("pids.max")]).toEqual(["33554432", "15050 100000", "30"]);
  expect([show(unit, "MemoryMax"), show(unit, "CPUQuotaPerSecUSec"), show(unit, "TasksMax")]).toEqual([
    "33554432",
    "160ms",
    "30",
  ]);

  expect(await command!.run(["delete", "--force", id])).toMatchObject({ code: 0, stderr: "" });
  expect(existsSync(directory)).toBe(false);
  expect(show(unit, "LoadState")).toBe("not-found");
});

withSystemd("an update that systemd refuses leaves the cgroup's files as they were", async () => {
  const id = await command!.start(["sleep", "1000"], inSlice("refused"));
  const unit = "oci-refused.scope";
  const directory = `${cgroupRoot}/lighter.slice/lighter-test.slice/${unit}`;
  // The kernel takes "1G"; for systemd it must be a number.
  const ran = await command!.run(
    ["update", "--resources", "-", id],
    '{"unified":{"memory.high":"1G"},"pids":{"limit":9}}',
  );
  expect(ran.code).toBe(1);
  expect(readFileSync(`${directory}/pids.max`, "utf8").trim()).not.toBe("9");
  expect(readFileSync(`${directory}/memory.high`, "utf8").trim()).toBe("max");
});

withSystemd("a cgroupsPath that is no slice:prefix:name is refused, and nothing is left", async () => {
  const config = (path: string) => (each: OciConfig) => {
    each.linux!.cgroupsPath = path;
  };
  await expect(command!.start(["true"], config("/not/like/that"))).rejects.toThrow();
  expect(await command!.run(["list", "--quiet"])).toMatchObject({ code: 0, stdout: "" });
});

withSystemd("a second container of the same scope is refused, and the first goes on", async () => {
  const first = await command!.start(["sleep", "1000"], inSlice("twice"));
  await expect(command!.start(["sleep", "1000"], inSlice("twice"))).rejects.toThrow();
  expect(await command!.status(first)).toBe("running");
  expect(show("oci-twice.scope", "ActiveState")).toBe("active");
});
