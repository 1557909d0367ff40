import { afterEach, expect } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { defaultDeviceRules, detectCgroupHost, planCgroup } from "../../src/linux/cgroup/mod.ts";
import {
  completeScope,
  parseScopePath,
  type ScopeName,
  startScope,
  stopScope,
  updateScope,
} from "../../src/linux/systemd/scope.ts";
import type { OciResources } from "../../src/spec/oci-runtime.ts";
import { testIf } from "../support/test-if.ts";

/* Scopes made by a real systemd. tests/compat/systemd.test.ts runs this file under one where there is none here. */

const runsHere = existsSync("/run/systemd/system") && process.getuid?.() === 0;
const withSystemd = testIf(runsHere, "systemd does not run here, or not for us");

let started: { scope: ScopeName; child: ChildProcess } | undefined;

afterEach(async () => {
  if (started === undefined) return;
  const { scope, child } = started;
  started = undefined;
  child.kill("SIGKILL");
  await stopScope(scope, false);
});

/** A waiting process in a fresh scope of its own. */
async function start(resources: OciResources, annotations: Record<string, string> = {}, slice = "lighter-test.slice") {
  const host = detectCgroupHost();
  const scope = parseScopePath(`${slice}:lighter:${randomBytes(4).toString("hex")}`, "unused");
  const child = spawn("/bin/sh", ["-c", "read go; exec cat </dev/kmsg"], { stdio: "pipe" });
  started = { scope, child };
  const request = { host, scope, user: false, resources };
  const path = await startScope(request, child.pid!, annotations);
  completeScope(host, planCgroup(host, path, resources), child.pid!);
  return { host, scope, child, request, path, directory: `${host.v2!.mountPoint}${path}` };
}

function show(unit: string, property: string): string {
  return execFileSync("systemctl", ["show", "--value", `--property=${property}`, unit])
    .toString()
    .trim();
}

withSystemd("a scope holds the process, in its slice, with the limits in the cgroup and in the unit", async () => {
  const resources = {
    memory: { limit: 64 * 2 ** 20, swap: 64 * 2 ** 20, reservation: 2 ** 20 },
    cpu: { shares: 2048, quota: 15050, period: 100000, cpus: "0" },
    pids: { limit: 20 },
    unified: { "memory.high": "50331648" },
  };
  const { scope, child, path, directory } = await start(resources);
  expect(path).toBe(`/lighter.slice/lighter-test.slice/${scope.unit}`);
  expect(readFileSync(`/proc/${child.pid}/cgroup`, "utf8")).toContain(`0::${path}\n`);
  const text = (file: string) => readFileSync(`${directory}/${file}`, "utf8").trim();
  expect(text("memory.max")).toBe("67108864");
  expect(text("memory.low")).toBe("1048576");
  expect(text("memory.high")).toBe("50331648");
  expect(text("cpu.max")).toBe("15050 100000");
  expect(text("pids.max")).toBe("20");
  expect(text("cpuset.cpus")).toBe("0");
  expect(show(scope.unit, "Slice")).toBe("lighter-test.slice");
  expect(show(scope.unit, "Delegate")).toBe("yes");
  expect(show(scope.unit, "MemoryMax")).toBe("67108864");
  expect(show(scope.unit, "MemorySwapMax")).toBe("0");
  expect(show(scope.unit, "MemoryHigh")).toBe("50331648");
  expect(show(scope.unit, "TasksMax")).toBe("20");
  expect(show(scope.unit, "CPUQuotaPerSecUSec")).toBe("160ms"); // 150.5, rounded up to whole percents
  expect(show(scope.unit, "AllowedCPUs")).toBe("0");
});

withSystemd(
  "devices outside the rules cannot be opened, also after systemd has applied its settings anew",
  async () => {
    const { child } = await start({ devices: defaultDeviceRules() });
    execFileSync("systemctl", ["daemon-reload"]);
    let stderr = "";
    child.stderr!.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdin!.end("\n");
    await once(child, "close");
    expect(stderr).toContain("/dev/kmsg: Operation not permitted");
  },
);

withSystemd("an update reaches the unit, and an annotation's property is the unit's", async () => {
  const { scope, request } = await start({}, { "org.systemd.property.TimeoutStopSec": "7" });
  await updateScope({ ...request, resources: { memory: { limit: 2 ** 25 }, pids: { limit: -1 } } }, [], () => {});
  expect(show(scope.unit, "MemoryMax")).toBe("33554432");
  expect(show(scope.unit, "TasksMax")).toBe("infinity");
  expect(show(scope.unit, "TimeoutStopUSec")).toBe("7s");
});

withSystemd("stopScope ends the processes and the unit, and may be repeated", async () => {
  const { scope, child, directory } = await start({});
  const ended = once(child, "close");
  await stopScope(scope, false);
  await ended;
  expect(child.signalCode).toBe("SIGTERM");
  expect(existsSync(directory)).toBe(false);
  expect(show(scope.unit, "LoadState")).toBe("not-found");
  await stopScope(scope, false);
});

withSystemd("a second scope of the same name is a conflict, and the first goes on", async () => {
  const { child, path, request } = await start({});
  await expect(startScope(request, child.pid!, {})).rejects.toMatchObject({ code: "conflict" });
  expect(readFileSync(`/proc/${child.pid}/cgroup`, "utf8")).toContain(`0::${path}\n`);
});

withSystemd("a property that systemd does not have is refused, and nothing is left", async () => {
  await expect(start({}, { "org.systemd.property.NoSuchThing": "true" })).rejects.toMatchObject({
    message: expect.stringContaining("NoSuchThing"),
  });
  expect(show(started!.scope.unit, "LoadState")).toBe("not-found");
});
