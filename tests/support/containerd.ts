/** Debian's containerd with its CRI plugin, beside any that is in use: a peer of our own runtime interface. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CriClient } from "./cri-client.ts";
import { cgroupMountPoints, hostUsrImage } from "./daemon.ts";
import { until } from "./eventually.ts";
import { dockerArchive } from "./image-archive.ts";
import { rawTar } from "./image-tar.ts";

/** The image that both runtimes have. */
export const CRI_IMAGE = "docker.io/library/host-usr:latest";

export class Containerd implements AsyncDisposable {
  readonly cri: CriClient;
  readonly #process: ChildProcess;
  readonly #hadRunDirectory: boolean;

  private constructor(cri: CriClient, child: ChildProcess, hadRunDirectory: boolean) {
    this.cri = cri;
    this.#process = child;
    this.#hadRunDirectory = hadRunDirectory;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Starts it with all that it keeps in the directory; its pods have no network but the host's. */
  static async start(directory: string): Promise<Containerd> {
    const hadRunDirectory = existsSync("/run/containerd");
    const socket = join(directory, "containerd.sock");
    const configPath = join(directory, "config.toml");
    writeFileSync(configPath, configOf(directory, socket));
    const child = spawn("containerd", ["--config", configPath], { stdio: "ignore" });
    await until(() => existsSync(socket), "containerd listens");
    const pause = dockerArchive({
      layers: [rawTar({ name: "pause", mode: 0o755, content: readFileSync("dist/init") })],
      tags: [PAUSE],
      config: { Cmd: ["/pause", "--pause"] },
    });
    for (const archive of [pause, hostUsrImage()]) {
      const args = ["--address", socket, "-n", "k8s.io", "images", "import", "-"];
      const { status, stderr } = spawnSync("ctr", args, { input: archive });
      if (status !== 0) throw new Error(`ctr images import: ${stderr}`);
    }
    return new Containerd(await CriClient.connect(socket), child, hadRunDirectory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { id } of (await this.cri.call("ListPodSandbox", {})).items)
      await this.cri.call("RemovePodSandbox", { podSandboxId: id });
    this.cri[Symbol.dispose]();
    const child = this.#process;
    child.kill("SIGKILL");
    await until(() => child.exitCode !== null || child.signalCode !== null, "containerd has ended");
    // Where its shims and runc are, whatever its configuration is.
    if (!this.#hadRunDirectory) removeEmpty("/run/containerd");
  }
}

const PAUSE = "docker.io/library/pause:latest";

function configOf(directory: string, socket: string): string {
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "${directory}/no-conf"
    bin_dir = "${directory}/no-bin"
`;
}

/** Removes a pod's cgroups, which are kubelet's to make and to remove. */
export function removePodCgroups(path: string): void {
  for (const mountPoint of cgroupMountPoints()) removeEmpty(join(mountPoint, path));
}

/** Removes a directory and those in it, as far as there is nothing else. */
function removeEmpty(path: string): void {
  spawnSync("find", [path, "-depth", "-type", "d", "-exec", "rmdir", "--ignore-fail-on-non-empty", "{}", ";"]);
}
