/** The network of pods while plugins hang, fail and are overtaken: what becomes of the pod, and of what they have made. */
import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { CriDaemon } from "../support/cri-daemon.ts";
import { until } from "../support/eventually.ts";
import { isAlive, rooted } from "../support/stage.ts";

/** Codes of gRPC. */
const [DEADLINE_EXCEEDED, NOT_FOUND] = [4, 5];

let node: CriDaemon;

beforeAll(async () => {
  node = await CriDaemon.start();
});

beforeEach(() => {
  for (const command of ["ADD", "DEL"])
    for (const path of [node.plugins.hangPath("fake", command), node.plugins.failurePath("fake", command)])
      rmSync(path, { force: true });
});

afterAll(() => node?.[Symbol.asyncDispose]());

const sandboxes = async () => (await node.cri.call("ListPodSandbox", {})).items;
const lastCall = () => node.plugins.calls.at(-1);

/** Waits until the plugin is called. Resolves with the call. */
async function called(command: string, pod: string) {
  const isIt = () => lastCall()?.command === command && lastCall()?.args.includes(`K8S_POD_NAME=${pod};`) === true;
  await until(isIt, `${command} of ${pod}`);
  return lastCall()!;
}

/** Nothing of any pod is left, neither of ours nor of the plugins'. */
async function expectNothing(): Promise<void> {
  expect(await sandboxes()).toEqual([]);
  expect([node.plugins.made, node.attachments]).toEqual([[], []]);
}

rooted("a sandbox that is stopped while a plugin connects it is disconnected after that, and gone", async () => {
  writeFileSync(node.plugins.hangPath("fake", "ADD"), "K8S_POD_NAME=slow;");
  const failure = node.cri.failure("RunPodSandbox", { config: node.podConfig("slow") });
  const { container, pid } = await called("ADD", "slow");
  const other = await node.runPod("other"); // which does not wait
  await node.cri.call("StopPodSandbox", { podSandboxId: container });
  expect(isAlive(pid)).toBe(false);
  expect((await failure).message).toContain("is being detached");
  expect(node.plugins.about(container)).toEqual(["fake ADD", "fake DEL"]);
  await node.cri.call("RemovePodSandbox", { podSandboxId: container });
  await node.cri.call("RemovePodSandbox", { podSandboxId: other });
  await expectNothing();
});

rooted("a sandbox that is removed while a plugin disconnects it is removed after that", async () => {
  const pod = await node.runPod("twice");
  writeFileSync(node.plugins.hangPath("fake", "DEL"), "K8S_POD_NAME=twice;");
  const stopped = node.cri.call("StopPodSandbox", { podSandboxId: pod });
  await called("DEL", "twice");
  const removed = [1, 2].map(() => node.cri.call("RemovePodSandbox", { podSandboxId: pod }));
  await node.cri.call("RemovePodSandbox", { podSandboxId: await node.runPod("other") });
  expect((await node.cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state).toBe(1);
  rmSync(node.plugins.hangPath("fake", "DEL"));
  await Promise.all([stopped, ...removed]);
  expect(node.plugins.about(pod)).toEqual(["fake ADD", "fake DEL"]);
  await expectNothing();
});

rooted(
  "a daemon that is killed while a plugin works leaves it to the next one, which ends it and begins anew",
  async () => {
    writeFileSync(node.plugins.hangPath("fake", "ADD"), "");
    const lost = node.cri.failure("RunPodSandbox", { config: node.podConfig("lost") }).catch(() => {});
    const { container, pid } = await called("ADD", "lost");
    await node.restart();
    await lost;
    await until(() => !isAlive(pid), "the plugin is ended");
    rmSync(node.plugins.hangPath("fake", "ADD"));
    writeFileSync(node.plugins.hangPath("fake", "DEL"), "");
    const interrupted = node.cri.call("StopPodSandbox", { podSandboxId: container }).catch(() => {});
    const left = await called("DEL", "lost");
    await node.restart();
    await interrupted;
    rmSync(node.plugins.hangPath("fake", "DEL"));
    await node.cri.call("RemovePodSandbox", { podSandboxId: container });
    expect(isAlive(left.pid)).toBe(false);
    expect(node.plugins.about(container)).toEqual(["fake ADD", "fake DEL", "fake DEL"]);
    await expectNothing();
  },
);

rooted(
  "a pod that cannot be connected leaves nothing, and if it cannot be disconnected what kubelet removes",
  async () => {
    writeFileSync(node.plugins.failurePath("fake", "ADD"), "");
    const config = node.podConfig("broken");
    expect((await node.cri.failure("RunPodSandbox", { config })).message).toContain("fake refuses");
    await expectNothing();
    writeFileSync(node.plugins.failurePath("fake", "DEL"), "");
    expect((await node.cri.failure("RunPodSandbox", { config })).message).toContain("fake refuses");
    const [left] = await sandboxes();
    expect(left).toMatchObject({ state: 1, metadata: { name: "broken" } });
    expect((await node.cri.failure("StopPodSandbox", { podSandboxId: left!.id })).message).toContain("fake refuses");
    for (const command of ["ADD", "DEL"]) rmSync(node.plugins.failurePath("fake", command));
    await node.cri.call("StopPodSandbox", { podSandboxId: left!.id });
    await node.cri.call("RemovePodSandbox", { podSandboxId: left!.id });
    await expectNothing();
    await node.cri.call("RemovePodSandbox", { podSandboxId: await node.runPod("broken") });
  },
);

rooted("a pod whose kubelet has waited long enough is undone", async () => {
  writeFileSync(node.plugins.hangPath("fake", "ADD"), "");
  const config = node.podConfig("late");
  const failure = node.cri.call("RunPodSandbox", { config }, 1).then(
    () => 0,
    ({ status }) => status.code,
  );
  const { pid } = await called("ADD", "late");
  expect(await failure).toBe(DEADLINE_EXCEEDED);
  await until(async () => (await sandboxes()).length === 0, "it is undone");
  expect(isAlive(pid)).toBe(false);
  await expectNothing();
});

rooted("a sandbox that a client of Docker's API removes is disconnected, too", async () => {
  const pod = await node.runPod("removed");
  expect((await node.daemon.request("DELETE", `/containers/${pod}?force=1`)).status).toBe(204);
  await until(() => node.attachments.length === 0, "it is disconnected");
  await expectNothing();
});

rooted("containers that are made or started while their sandbox is stopped do not stay", async () => {
  for (let round = 0; round < 4; round++) {
    const pod = await node.runPod("race");
    const early = await node.createContainer(pod, "exec sleep 1000", "early");
    const late = node.createContainer(pod, "exec sleep 1000", "late").catch(() => {});
    const started = node.cri.call("StartContainer", { containerId: early }).catch(() => {});
    await node.cri.call("StopPodSandbox", { podSandboxId: pod });
    await Promise.all([late, started]);
    const { containers } = await node.cri.call("ListContainers", {});
    for (const { id } of containers) expect((await node.daemon.inspect(id)).State.Running).toBe(false);
    await node.cri.call("RemovePodSandbox", { podSandboxId: pod });
    expect((await node.cri.call("ListContainers", {})).containers).toEqual([]);
    expect((await node.cri.failure("PodSandboxStatus", { podSandboxId: pod })).code).toBe(NOT_FOUND);
  }
  await expectNothing();
});
