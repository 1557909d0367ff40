/** Debian's containerd and our own runtime interface side by side, each with its own directories. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Containerd, removePodCgroups } from "./containerd.ts";
import { CriClient } from "./cri-client.ts";
import { TestDaemon } from "./daemon.ts";

/** Kubelet's to make and to remove; without one containerd has a place of its own. */
export const CGROUP_PARENT = `/lighter-cri-${process.pid}`;

/** A runtime with its client, and the directory that is its own. */
export interface Peer {
  name: "lighter" | "containerd";
  cri: CriClient;
  directory: string;
}

export class CriPeers implements AsyncDisposable {
  private constructor(
    readonly ours: Peer,
    readonly theirs: Peer,
    readonly undo: AsyncDisposableStack,
  ) {}

  static async start(): Promise<CriPeers> {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => removePodCgroups(CGROUP_PARENT));
    const daemon = undo.use(await TestDaemon.start({ hostNetwork: true }));
    await daemon.kill();
    const socket = join(daemon.directory, "cri.sock");
    await daemon.launch({}, ["--cri", `unix://${socket}`, "--cni-conf-dir", join(daemon.directory, "no-conf")]);
    const cri = undo.use(await CriClient.connect(socket));
    const directory = mkdtempSync(join(tmpdir(), "lighter-containerd-"));
    undo.defer(() => rmSync(directory, { recursive: true, force: true }));
    const containerd = undo.use(await Containerd.start(directory));
    return new CriPeers(
      { name: "lighter", cri, directory: daemon.directory },
      { name: "containerd", cri: containerd.cri, directory },
      undo.move(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.undo.disposeAsync();
  }
}
