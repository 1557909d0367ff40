/** What a kubelet does with pods, call by call in its order: restarts, probes, rotation of logs, graceful ends, and what it clears up. */
import { afterAll, beforeAll, expect } from "bun:test";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { CriDaemon } from "../support/cri-daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { rooted } from "../support/stage.ts";

/** Numbers of states of sandboxes and containers. */
const READY = 0;
const [CREATED, RUNNING, EXITED] = [0, 1, 2];

let node: CriDaemon;

beforeAll(async () => {
  node = await CriDaemon.start();
});

afterAll(() => node?.[Symbol.asyncDispose]());

interface ContainerSpec {
  name: string;
  script: string;
  isInit?: boolean;
  probe?: string;
}

/** A pod as one of kubelet's workers has it: all that it knows comes from lists, as after a restart of kubelet. */
class Pod {
  readonly uid: string;
  readonly logDirectory: string;

  constructor(
    readonly name: string,
    readonly containers: readonly ContainerSpec[],
  ) {
    this.uid = `uid-of-${name}`;
    this.logDirectory = join(node.daemon.directory, "pods", name);
  }

  get #labels() {
    return new Map([
      ["io.kubernetes.pod.uid", this.uid],
      ["io.kubernetes.pod.name", this.name],
    ]);
  }

  get #filter() {
    return { labelSelector: new Map([["io.kubernetes.pod.uid", this.uid]]) };
  }

  /** The sandboxes, newest first. */
  async sandboxes() {
    const { items } = await node.cri.call("ListPodSandbox", { filter: this.#filter });
    return items.sort((a, b) => Number(b.createdAt - a.createdAt));
  }

  /** The attempts at a container, newest first. */
  async attempts(name: string) {
    const { containers } = await node.cri.call("ListContainers", { filter: this.#filter });
    return containers
      .filter(({ metadata }) => metadata?.name === name)
      .sort((a, b) => b.metadata!.attempt - a.metadata!.attempt);
  }

  async status(name: string) {
    const [newest] = await this.attempts(name);
    return (await node.cri.call("ContainerStatus", { containerId: newest!.id })).status!;
  }

  async stateOf(name: string): Promise<number | undefined> {
    return (await this.attempts(name))[0]?.state;
  }

  /** One round of the worker: makes what is missing. Returns true if nothing was. */
  async sync(): Promise<boolean> {
    const [newest] = await this.sandboxes();
    let sandboxId = newest?.id;
    if (newest?.state !== READY) {
      if (newest !== undefined) await this.#end(newest.id);
      const config = this.#sandboxConfig((newest?.metadata?.attempt ?? -1) + 1);
      ({ podSandboxId: sandboxId } = await node.cri.call("RunPodSandbox", { config }));
    }
    for (const spec of this.containers) {
      const [last] = await this.attempts(spec.name);
      const isHere = last !== undefined && last.podSandboxId === sandboxId;
      if (isHere && (last.state === RUNNING || last.state === CREATED)) {
        if (spec.isInit) return false;
        continue;
      }
      if (isHere && spec.isInit && (await this.status(spec.name)).exitCode === 0) continue;
      await this.#start(sandboxId!, spec, (last?.metadata?.attempt ?? -1) + 1);
      return false;
    }
    return true;
  }

  #sandboxConfig(attempt: number) {
    const { name, uid, logDirectory } = this;
    return { metadata: { name, uid, namespace: "default", attempt }, labels: this.#labels, logDirectory };
  }

  async #start(podSandboxId: string, { name, script }: ContainerSpec, attempt: number): Promise<void> {
    const { image } = await node.cri.call("ImageStatus", { image: { image: "host-usr" } });
    const config = {
      metadata: { name, attempt },
      image: { image: image!.id },
      command: ["/bin/sh", "-c", script],
      labels: new Map([...this.#labels, ["io.kubernetes.container.name", name]]),
      logPath: `${name}/${attempt}.log`,
      mounts: [{ hostPath: "/usr", containerPath: "/usr", readonly: true }],
    };
    const sandboxConfig = this.#sandboxConfig(0);
    const { containerId } = await node.cri.call("CreateContainer", { podSandboxId, config, sandboxConfig });
    await node.cri.call("StartContainer", { containerId });
  }

  /** The exit code of a container's probe. */
  async probe(name: string): Promise<number> {
    const [{ id: containerId } = { id: "" }] = await this.attempts(name);
    const { probe = "true" } = this.containers.find((spec) => spec.name === name)!;
    return (await node.cri.call("ExecSync", { containerId, cmd: ["/bin/sh", "-c", probe], timeout: 10 })).exitCode;
  }

  logPath(name: string, attempt: number): string {
    return join(this.logDirectory, name, `${attempt}.log`);
  }

  /** The lines of a log without their times. */
  log(name: string, attempt: number): string[] {
    const lines = readFileSync(this.logPath(name, attempt), "utf8").split("\n").slice(0, -1);
    return lines.map((line) => line.replace(/^\S+ std\w+ F /, ""));
  }

  async #end(podSandboxId: string, graceS = 0): Promise<void> {
    const running = (await Promise.all(this.containers.map(({ name }) => this.attempts(name)))).flat();
    const wanted = running.filter(({ state }) => state !== EXITED);
    await Promise.all(wanted.map(({ id }) => node.cri.call("StopContainer", { containerId: id, timeout: graceS })));
    await node.cri.call("StopPodSandbox", { podSandboxId });
  }

  /** Ends the pod with the time that its containers have, as often as kubelet does it. */
  async terminate(graceS: number): Promise<void> {
    for (const { id } of await this.sandboxes()) for (let round = 0; round < 2; round++) await this.#end(id, graceS);
  }

  /** Removes dead attempts but the newest, and all of them and the sandboxes once the pod is deleted. */
  async collect(isDeleted: boolean): Promise<void> {
    for (const { name } of this.containers) {
      const dead = (await this.attempts(name)).filter(({ state }) => state === EXITED);
      for (const { id } of dead.slice(isDeleted ? 0 : 1)) await node.cri.call("RemoveContainer", { containerId: id });
    }
    if (!isDeleted) return;
    for (const { id } of await this.sandboxes()) await node.cri.call("RemovePodSandbox", { podSandboxId: id });
  }
}

/** Syncs until all runs. */
async function settle(pod: Pod): Promise<void> {
  await until(() => pod.sync(), `pod ${pod.name} runs`);
}

rooted("a pod's life: initial containers in order, restarts by attempts, a failed probe, a graceful end", async () => {
  const serving = 'trap "echo bye; exit 0" TERM; echo served; while :; do sleep 0.05; done';
  const pod = new Pod("web", [
    { name: "first", isInit: true, script: "echo one" },
    { name: "second", isInit: true, script: "echo two" },
    { name: "main", script: serving, probe: "exit 0" },
    { name: "crashing", script: "echo crashes; exit 3" },
  ]);
  await until(async () => {
    await pod.sync();
    return (await pod.attempts("crashing")).length >= 3;
  }, "it has crashed twice");
  for (const name of ["first", "second"]) {
    expect((await pod.attempts(name)).map(({ metadata }) => metadata!.attempt)).toEqual([0]);
    expect(await pod.status(name)).toMatchObject({ state: EXITED, exitCode: 0, reason: "Completed" });
  }
  const [first, second] = [await pod.status("first"), await pod.status("second")];
  expect(first.finishedAt).toBeLessThanOrEqual(second.startedAt);
  expect(second.finishedAt).toBeLessThanOrEqual((await pod.status("main")).startedAt);
  await until(async () => (await pod.stateOf("crashing")) === EXITED, "it has crashed again");
  expect(await pod.status("crashing")).toMatchObject({ exitCode: 3, reason: "Error" });
  expect(pod.log("crashing", 1)).toEqual(["crashes"]);
  await pod.collect(false);
  expect(await pod.attempts("crashing")).toHaveLength(1);

  expect(await pod.probe("main")).toBe(0);
  const [{ id } = { id: "" }] = await pod.attempts("main");
  await node.cri.call("StopContainer", { containerId: id, timeout: 30 }); // as its probe has failed
  expect(await pod.status("main")).toMatchObject({ state: EXITED, exitCode: 0, reason: "Completed" });
  expect(pod.log("main", 0)).toEqual(["served", "bye"]);
  await until(async () => {
    await pod.sync();
    return (await pod.status("main")).metadata!.attempt === 1;
  }, "it is started again");
  expect(await pod.sandboxes()).toHaveLength(1);

  await until(() => pod.log("main", 1).includes("served"), "it is ready for its end");
  await pod.terminate(30);
  expect(await pod.status("main")).toMatchObject({ state: EXITED, exitCode: 0 });
  expect(pod.log("main", 1)).toEqual(["served", "bye"]);
  await pod.collect(true);
  expect(await pod.sandboxes()).toEqual([]);
  expect(existsSync(pod.logPath("main", 1))).toBe(true); // kubelet's own to remove
});

rooted("a pod whose sandbox has died gets another one, with its containers and their next attempts", async () => {
  const pod = new Pod("fragile", [{ name: "main", script: "exec sleep 1000" }]);
  await settle(pod);
  const [first] = await pod.sandboxes();
  process.kill((await node.daemon.inspect(first!.id)).State.Pid, "SIGKILL");
  await until(async () => (await pod.sandboxes())[0]!.state !== READY, "it is not ready");
  await settle(pod);
  const [second, old] = await pod.sandboxes();
  expect([second!.metadata!.attempt, old!.id]).toEqual([1, first!.id]);
  const { network } = (await node.cri.call("PodSandboxStatus", { podSandboxId: second!.id })).status!;
  expect(network!.ip).toBe("10.9.0.2");
  expect((await pod.attempts("main")).map(({ metadata, state }) => [metadata!.attempt, state])).toEqual([
    [1, RUNNING],
    [0, EXITED],
  ]);
  await pod.terminate(0);
  await pod.collect(true);
});

rooted("logs are rotated while the daemon is replaced under a kubelet, which finds all as it was", async () => {
  const pod = new Pod("talking", [{ name: "main", script: "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done" }]);
  await settle(pod);
  const path = pod.logPath("main", 0);
  const [{ id: containerId } = { id: "" }] = await pod.attempts("main");
  const lines: string[] = [];
  for (let round = 1; round <= 3; round++) {
    await until(() => existsSync(path) && pod.log("main", 0).length > 3, "it has written");
    renameSync(path, `${path}.${round}`);
    if (round === 2) await node.restart();
    await node.cri.call("ReopenContainerLog", { containerId });
    const old = readFileSync(`${path}.${round}`, "utf8").split("\n").slice(0, -1);
    lines.push(...old.map((line) => line.replace(/^\S+ std\w+ F /, "")));
  }
  await pod.terminate(0);
  lines.push(...pod.log("main", 0));
  expect(lines).toEqual(lines.map((_, index) => `${index + 1}`));
  await pod.collect(true);
});

rooted("images that nobody uses are collected, and a pod that is evicted ends at once", async () => {
  const layer = rawTar({ name: "unused", content: "x".repeat(100_000) });
  const archive = dockerArchive({ layers: [layer], tags: ["unused:1"], config: { Cmd: ["/unused"] } });
  await node.daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
  const pod = new Pod("large", [{ name: "main", script: 'trap "" TERM; while :; do sleep 1; done' }]);
  await settle(pod);
  const used = new Set((await node.cri.call("ListContainers", {})).containers.map(({ imageRef }) => imageRef));
  const { images } = await node.cri.call("ListImages", {});
  const unused = images.filter(({ id, pinned }) => !pinned && !used.has(id));
  expect(unused.flatMap(({ repoTags }) => repoTags).join()).toContain("unused:1");
  for (const { id } of unused) await node.cri.call("RemoveImage", { image: { image: id } });
  const left = (await node.cri.call("ListImages", {})).images.filter(({ pinned }) => !pinned);
  expect(left.map(({ id }) => id)).toEqual([...used]);
  expect((await node.cri.call("ImageFsInfo", {})).imageFilesystems[0]!.usedBytes!.value).toBeGreaterThan(0n);
  await pod.terminate(0);
  expect(await pod.status("main")).toMatchObject({ exitCode: 137, reason: "Error" });
  await pod.collect(true);
  await settle(pod); // once more, of the same name
  await pod.terminate(0);
  await pod.collect(true);
  expect([(await node.cri.call("ListContainers", {})).containers, node.attachments]).toEqual([[], []]);
});
