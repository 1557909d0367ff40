/** Pods whose cgroups systemd makes. tests/compat/systemd.test.ts runs this file where systemd is process 1. */
import { afterAll, beforeAll, expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { until } from "../support/eventually.ts";
import { PodHost } from "../support/pod-host.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const runsHere = existsSync("/run/systemd/system") && isRoot;
const withSystemd = testIf(runsHere, "systemd does not run here, or not for us");
const SLICE = "kubepods-burstable-pod1_2.slice";
/** As kubelet writes it. */
const PARENT = `/kubepods.slice/kubepods-burstable.slice/${SLICE}`;
const flags = ["--exec-opt", "native.cgroupdriver=systemd"];
const unitOf = (id: string) => `lighter-${id}.scope`;
const directoryOf = (id: string) => `/sys/fs/cgroup${PARENT}/${unitOf(id)}`;
const text = (id: string, file: string) => readFileSync(`${directoryOf(id)}/${file}`, "utf8").trim();

let host: PodHost;

beforeAll(async () => {
  if (runsHere) host = await PodHost.start({ hostNetwork: true, flags });
});

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  if (runsHere) execFileSync("systemctl", ["stop", "kubepods.slice"]);
});

function show(unit: string, property: string): string {
  return execFileSync("systemctl", ["show", "--value", `--property=${property}`, unit])
    .toString()
    .trim();
}

withSystemd("a pod's sandbox and containers are scopes in kubelet's slice, until they end", async () => {
  expect((await host.cri.call("RuntimeConfig", {})).linux!.cgroupDriver).toBe(0);
  expect((await host.daemon.request("GET", "/info")).json.CgroupDriver).toBe("systemd");
  const linux = { cgroupParent: PARENT, resources: { memoryLimitInBytes: 64 << 20, cpuShares: 512 } };
  const pod = await host.runPod({ linux });
  const container = await host.start(pod, "exec sleep 1000", { linux });
  const pid = String((await host.daemon.inspect(container)).State.Pid);
  expect([text(container, "cgroup.procs"), text(container, "memory.max")]).toEqual([pid, String(64 << 20)]);
  for (const id of [pod, container])
    expect([show(unitOf(id), "ActiveState"), show(unitOf(id), "Slice")]).toEqual(["active", SLICE]);
  expect(show(unitOf(container), "MemoryMax")).toBe(String(64 << 20));
  execFileSync("systemctl", ["daemon-reload"]); // systemd writes its own limits again
  expect(text(container, "memory.max")).toBe(String(64 << 20));
  const update = { containerId: container, linux: { memoryLimitInBytes: 32 << 20 } };
  await host.cri.call("UpdateContainerResources", update);
  expect([text(container, "memory.max"), show(unitOf(container), "MemoryMax")]).toEqual([
    String(32 << 20),
    String(32 << 20),
  ]);
  expect((await host.exec(container, "cat /proc/self/cgroup")).out).toBe("0::/\n");
  const { stats } = await host.cri.call("PodSandboxStats", { podSandboxId: pod });
  expect(stats!.linux!.process!.processCount!.value).toBe(2);

  await host.restart();
  expect((await host.status(container)).state).toBe(1);
  expect([text(container, "cgroup.procs"), show(unitOf(container), "ActiveState")]).toEqual([pid, "active"]);
  await host.cri.call("StopContainer", { containerId: container, timeout: 0 });
  await until(() => show(unitOf(container), "LoadState") === "not-found", "the scope is gone");
  await host.removePod(pod);
  await until(() => show(unitOf(pod), "LoadState") === "not-found", "the sandbox's scope is gone");
  for (const id of [pod, container]) expect(existsSync(directoryOf(id))).toBe(false);
});

withSystemd(
  "in a scope, too, a container that is out of memory says so, and one that cannot start leaves none",
  async () => {
    const pod = await host.runPod({ linux: { cgroupParent: PARENT } });
    const linux = { resources: { memoryLimitInBytes: 20 << 20, memorySwapLimitInBytes: 20 << 20 } };
    const greedy = await host.start(pod, "exec tail /dev/zero", { linux });
    expect(await host.ended(greedy)).toMatchObject({ reason: "OOMKilled", exitCode: 137 });
    const missing = await host.create(pod, "", { metadata: { name: "missing" }, command: ["/no/such"], args: [] });
    expect((await host.cri.failure("StartContainer", { containerId: missing })).message).toContain("no such file");
    for (const id of [greedy, missing])
      await until(() => show(unitOf(id), "LoadState") === "not-found", "no scope is left");
    await host.removePod(pod);
  },
);

withSystemd("containers of Docker's clients are in the system's slice, or in the one that they name", async () => {
  const { daemon } = host;
  const id = await daemon.create({ Cmd: ["/bin/sleep", "1000"], HostConfig: { ...USR, PidsLimit: 1 } });
  await daemon.request("POST", `/containers/${id}/start`);
  expect([show(unitOf(id), "Slice"), show(unitOf(id), "TasksMax")]).toEqual(["system.slice", "1"]);
  const named = await daemon.create({ Cmd: ["/bin/sleep", "1000"], HostConfig: { ...USR, CgroupParent: SLICE } });
  await daemon.request("POST", `/containers/${named}/start`);
  expect(show(unitOf(named), "Slice")).toBe(SLICE);
  await daemon.request("POST", `/containers/${named}/restart?t=0`);
  expect(show(unitOf(named), "ActiveState")).toBe("active");
  const refused = await daemon.request("POST", "/containers/create", {
    ...{ Image: "host-usr", Cmd: ["/bin/true"], HostConfig: { CgroupParent: "/not/a/slice" } },
  });
  expect([refused.status, refused.json.message]).toEqual([
    400,
    'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"',
  ]);
  for (const each of [id, named]) await daemon.request("DELETE", `/containers/${each}?force=1`);
  for (const each of [id, named])
    await until(() => show(unitOf(each), "LoadState") === "not-found", "the scope is gone");
});

const USR = { Binds: ["/usr:/usr:ro"], NetworkMode: "none" };
