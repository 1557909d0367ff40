/** kill -9 of the daemon over what a kubelet asks for: the next daemon has whole pods, or such as kubelet replaces and removes. */
import { afterAll, expect } from "bun:test";
import { CriDaemon } from "../support/cri-daemon.ts";
import { until } from "../support/eventually.ts";
import { strideOf } from "../support/sample.ts";
import { rooted } from "../support/stage.ts";

/** Numbers of states of sandboxes and containers. */
const [READY, NOT_READY] = [0, 1];
const [CREATED, RUNNING, EXITED] = [0, 1, 2];

/** The code of gRPC for a connection that is lost. */
const UNAVAILABLE = 14;

/** Of the write points, of which all take a minute or two. */
const STRIDE = strideOf({ here: 6, emulated: 40 });

/** What kubelet knows of a pod from the answers it got. */
interface Known {
  pod?: string;
  container?: string;
  /** The call that was not answered. */
  unanswered?: string;
}

class Crashed extends Error {}

/** A pod's life, as far as the daemon lives. */
async function tell(node: CriDaemon, known: Known): Promise<void> {
  const during = async <T>(what: string, work: Promise<T>): Promise<T> => {
    known.unanswered = what;
    const answer = await work.catch((error) => {
      throw error.status?.code === UNAVAILABLE ? new Crashed() : error;
    });
    delete known.unanswered;
    return answer;
  };
  known.pod = await during("run", node.runPod("story"));
  known.container = await during("create", node.createContainer(known.pod, "exec sleep 1000"));
  await during("start", node.cri.call("StartContainer", { containerId: known.container }));
  await during("stop", node.cri.call("StopPodSandbox", { podSandboxId: known.pod }));
  await during("remove", node.cri.call("RemovePodSandbox", { podSandboxId: known.pod }));
  known.unanswered = "nothing";
}

/** What was answered is so; what was not has happened, or not, and nothing in between. */
async function check(node: CriDaemon, { pod, container, unanswered = "" }: Known): Promise<void> {
  const { items } = await node.cri.call("ListPodSandbox", {});
  const { containers } = await node.cri.call("ListContainers", {});
  const [sandbox, only] = [items[0], containers[0]];
  expect([items.length, containers.length].every((count) => count <= 1)).toBe(true);
  const isEnding = ["stop", "remove", "nothing"].includes(unanswered);
  if (pod === undefined) expect(containers).toEqual([]);
  else if (!isEnding) expect(sandbox).toMatchObject({ id: pod, state: READY });
  else if (unanswered === "nothing") expect(items).toEqual([]);
  if (unanswered === "remove" && sandbox !== undefined) expect(sandbox.state).toBe(NOT_READY);
  if (container === undefined || isEnding) return;
  expect(only?.id).toBe(container);
  expect(unanswered === "start" ? [CREATED, RUNNING] : [CREATED]).toContain(only!.state);
}

/** Does what kubelet does next: the pod runs in the end. */
async function goOn(node: CriDaemon): Promise<void> {
  const { items } = await node.cri.call("ListPodSandbox", {});
  for (const { id, state } of items) if (state !== READY) await node.cri.call("StopPodSandbox", { podSandboxId: id });
  const ready = items.find(({ state }) => state === READY);
  const pod = ready?.id ?? (await node.runPod("story"));
  const containerId = await node.createContainer(pod, "exec sleep 1000", "second");
  await node.cri.call("StartContainer", { containerId });
  expect((await node.cri.call("ContainerStatus", { containerId })).status!.state).toBe(RUNNING);
  const status = (await node.cri.call("PodSandboxStatus", { podSandboxId: pod })).status!;
  expect(status).toMatchObject({ state: READY, network: { ip: "10.9.0.2" } });
  await node.cri.call("StopContainer", { containerId, timeout: 0 });
  expect((await node.cri.call("ContainerStatus", { containerId })).status!.state).toBe(EXITED);
}

/** Removes every pod, after which nothing is left of any. */
async function removeAll(node: CriDaemon): Promise<void> {
  const { items } = await node.cri.call("ListPodSandbox", {});
  const { containers } = await node.cri.call("ListContainers", {});
  for (const { id } of items) await node.cri.call("StopPodSandbox", { podSandboxId: id });
  for (const { id } of containers) await node.cri.call("RemoveContainer", { containerId: id });
  for (const { id } of items) await node.cri.call("RemovePodSandbox", { podSandboxId: id });
  const ids = [...items, ...containers].map(({ id }) => id);
  await until(() => node.daemon.leftovers(ids).length === 0, "nothing is left");
  expect([node.plugins.made, node.attachments]).toEqual([[], []]);
}

/** Whether the daemon lives when all is told and done, also in the background. */
async function hasEnded({ daemon }: CriDaemon, { pod = "", container = "", unanswered }: Known): Promise<boolean> {
  if (unanswered !== "nothing") return false;
  await until(() => !daemon.isAlive || daemon.leftovers([pod, container]).length === 0, "nothing is left");
  return await daemon.request("GET", "/_ping").then(
    () => true,
    () => false,
  ); // the row goes right after the files
}

let node: CriDaemon | undefined;

afterAll(() => node?.[Symbol.asyncDispose]());

rooted(
  "kill -9 at each write point of a pod's life: the next daemon has what was answered, goes on, and can remove all of it",
  async () => {
    const target = await CriDaemon.start();
    node = target;
    for (let crashAt = 1; ; crashAt += STRIDE) {
      target.daemon.log = "";
      await target.restart({ LIGHTER_TEST_CRASH_AT: String(crashAt) });
      const known: Known = {};
      await tell(target, known).catch((error) => {
        if (!(error instanceof Crashed)) throw error;
      });
      if (await hasEnded(target, known)) return expect(crashAt).toBeGreaterThan(30);
      await target.daemon.ended();
      expect(target.daemon.log).toContain("crash at write point");
      await target.restart();
      await check(target, known);
      await goOn(target);
      await removeAll(target);
    }
  },
  600_000,
);
