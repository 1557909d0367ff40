/** A daemon that serves Kubernetes' runtime interface, and what a kubelet does with it. Pods are on the daemon's network. */
import { rmdirSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../src/base/errors.ts";
import { CriClient } from "./cri-client.ts";
import { cgroupMountPoints, TestDaemon, type TestDaemonOptions } from "./daemon.ts";
import { until } from "./eventually.ts";

/** Namespaces of a pod's containers: the node's network, their own PIDs. Source: NamespaceMode in api.proto. */
const NAMESPACES = { network: 2, pid: 1 };
const USR = { hostPath: "/usr", containerPath: "/usr", readonly: true };
const EXITED = 2;

/** What a test adds to a config. Its `linux.securityContext` is added to the host's network. */
interface More {
  linux?: { securityContext?: object; resources?: object; cgroupParent?: string };
  mounts?: readonly object[];
  [field: string]: unknown;
}

export class PodHost implements AsyncDisposable {
  readonly daemon: TestDaemon;
  cri!: CriClient;
  #pods = 0;

  private constructor(daemon: TestDaemon) {
    this.daemon = daemon;
  }

  /** Starts a daemon with the image "host-usr". */
  static async start(options: TestDaemonOptions = {}): Promise<PodHost> {
    const host = new PodHost(await TestDaemon.start(options));
    await host.restart();
    return host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cri?.[Symbol.dispose]();
    await this.daemon[Symbol.asyncDispose]();
  }

  /** Kills the daemon, and starts the next one. */
  async restart(): Promise<void> {
    this.cri?.[Symbol.dispose]();
    await this.daemon.kill();
    const socket = join(this.daemon.directory, "cri.sock");
    await this.daemon.launch({}, ["--cri", `unix://${socket}`]);
    this.cri = await CriClient.connect(socket);
  }

  podConfig({ linux = {}, ...more }: More = {}) {
    this.#pods++;
    return {
      metadata: { name: "pod", uid: `uid-${this.#pods}`, namespace: "default", attempt: 0 },
      logDirectory: join(this.daemon.directory, `logs-${this.#pods}`),
      linux: { ...linux, securityContext: { namespaceOptions: NAMESPACES, ...linux.securityContext } },
      ...more,
    };
  }

  async runPod(more: More = {}): Promise<string> {
    return (await this.cri.call("RunPodSandbox", { config: this.podConfig(more) })).podSandboxId;
  }

  /** The config of a container that runs a script of the host's shell. Its name is in `more` if the pod has several. */
  containerConfig(script: string, { linux = {}, mounts = [], ...more }: More = {}) {
    return {
      metadata: { name: "main", attempt: 0 },
      image: { image: "host-usr" },
      command: ["/bin/sh", "-c"],
      args: [script],
      mounts: [USR, ...mounts],
      linux: { ...linux, securityContext: { namespaceOptions: NAMESPACES, ...linux.securityContext } },
      ...more,
    };
  }

  async create(podSandboxId: string, script: string, more: More = {}): Promise<string> {
    const config = this.containerConfig(script, more);
    return (await this.cri.call("CreateContainer", { podSandboxId, config })).containerId;
  }

  async start(podSandboxId: string, script = "exec sleep 1000", more: More = {}): Promise<string> {
    const containerId = await this.create(podSandboxId, script, more);
    await this.cri.call("StartContainer", { containerId });
    return containerId;
  }

  async status(containerId: string) {
    return (await this.cri.call("ContainerStatus", { containerId })).status!;
  }

  async ended(containerId: string) {
    await until(async () => (await this.status(containerId)).state === EXITED, `container ${containerId} has ended`);
    return await this.status(containerId);
  }

  /** Runs a script in a container. */
  async exec(containerId: string, script: string) {
    const answer = await this.cri.call("ExecSync", { containerId, cmd: ["/bin/sh", "-c", script], timeout: 60 });
    return { out: `${Buffer.from(answer.stdout)}`, err: `${Buffer.from(answer.stderr)}`, code: answer.exitCode };
  }

  async removePod(podSandboxId: string): Promise<void> {
    await this.cri.call("RemovePodSandbox", { podSandboxId });
  }

  /** Removes the cgroup of a pod, which is kubelet's to make and to remove. */
  removeCgroup(path: string): void {
    for (const mountPoint of cgroupMountPoints()) {
      try {
        rmdirSync(join(mountPoint, path));
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") throw error; // not in every hierarchy
      }
    }
  }
}
