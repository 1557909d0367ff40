/** A daemon that serves Kubernetes' runtime interface, with plugins of the test for its pods' network. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CniPlugins } from "./cni-plugin.ts";
import { CriClient } from "./cri-client.ts";
import { TestDaemon } from "./daemon.ts";

const USR = { hostPath: "/usr", containerPath: "/usr", readonly: true };

/** A daemon, its plugins, and a kubelet's connection to it. */
export class CriDaemon implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly plugins: CniPlugins;
  #cri: CriClient | undefined;
  #attempt = 0;

  private constructor(
    daemon: TestDaemon,
    private readonly binDirectories: readonly string[],
  ) {
    this.daemon = daemon;
    this.plugins = new CniPlugins(daemon.directory);
    this.plugins.add("fake", ["10.9.0.2/24"]);
    this.plugins.configure([{ type: "fake" }]);
  }

  /** `binDirectories`: where other plugins are. */
  static async start(binDirectories: readonly string[] = []): Promise<CriDaemon> {
    const made = new CriDaemon(await TestDaemon.start(), binDirectories);
    await made.restart();
    return made;
  }

  get cri(): CriClient {
    return this.#cri!;
  }

  /** Ends the daemon as `kill -9` does, and starts the next one, which may end at once if it is told to. */
  async restart(env: Record<string, string> = {}): Promise<void> {
    const socket = join(this.daemon.directory, "cri.sock");
    const directories = [this.plugins.binDirectory, ...this.binDirectories];
    const cni = [
      "--cni-conf-dir",
      this.plugins.configDirectory,
      ...directories.flatMap((path) => ["--cni-bin-dir", path]),
    ];
    this.#cri?.[Symbol.dispose]();
    await this.daemon.kill();
    await this.daemon.launch(env, ["--cri", `unix://${socket}`, ...cni]);
    if (this.daemon.isAlive) this.#cri = await CriClient.connect(socket);
  }

  podConfig(name: string, more: object = {}) {
    this.#attempt++;
    return {
      metadata: { name, uid: `uid-${name}`, namespace: "default", attempt: this.#attempt },
      logDirectory: join(this.daemon.directory, "logs"),
      ...more,
    };
  }

  async runPod(name: string, more: object = {}): Promise<string> {
    return (await this.cri.call("RunPodSandbox", { config: this.podConfig(name, more) })).podSandboxId;
  }

  async createContainer(podSandboxId: string, script: string, name = "main"): Promise<string> {
    const config = {
      metadata: { name, attempt: 0 },
      image: { image: "host-usr" },
      command: ["/bin/sh", "-c", script],
      logPath: `${name}.log`,
      mounts: [USR],
    };
    return (await this.cri.call("CreateContainer", { podSandboxId, config })).containerId;
  }

  /** Creates a container and starts it. */
  async startContainer(podSandboxId: string, script: string, name = "main"): Promise<string> {
    const containerId = await this.createContainer(podSandboxId, script, name);
    await this.cri.call("StartContainer", { containerId });
    return containerId;
  }

  /** Runs a command in a container. Resolves with what it has written. */
  async exec(containerId: string, ...cmd: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.cri.call("ExecSync", { containerId, cmd, timeout: 30 });
    if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: ${exitCode}: ${Buffer.from(stderr)}`);
    return `${Buffer.from(stdout)}`;
  }

  /** The files that tell of attachments to the network. */
  get attachments(): string[] {
    const directory = join(this.daemon.dataRoot, "cni");
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cri?.[Symbol.dispose]();
    await this.daemon[Symbol.asyncDispose]();
  }
}
