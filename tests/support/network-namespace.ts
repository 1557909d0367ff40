/** A network namespace of a test's own, with loopback. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import {
  closeNetworkNamespace,
  inNetworkNamespace,
  openNetworkNamespace,
} from "../../src/linux/sys/network-namespace.ts";

/** Its index is the same everywhere. */
const LOOPBACK = 1;

/** It lasts as long as a small process of it, which ends with us, however we end. */
export class NetworkNamespace implements AsyncDisposable {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<NetworkNamespace> {
    const script = "echo there && exec cat";
    const holder = spawn("unshare", ["--net", "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
    const [said] = await Promise.race([once(holder.stdout, "data"), once(holder, "close")]);
    if (String(said) !== "there\n") throw new Error(`make a network namespace: unshare ended with ${said}`);
    const namespace = new NetworkNamespace(holder);
    namespace.#ask(bringLoopbackUp);
    return namespace;
  }

  /** Of a process that is in it. */
  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  get path(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** The command that runs `argv` there, as the same process. */
  inside(...argv: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, "--", ...argv];
  }

  /** Its standard output. @throws Error if it fails, with what it said */
  run(...argv: readonly string[]): string {
    const [command = "", ...args] = this.inside(...argv);
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** The names of its links, without those that any new namespace has: loopback, and some kernels' tunnels. */
  links(): string[] {
    const links = this.#ask((socket) => socket.links());
    return links.flatMap(({ name, kind }) => (kind === "" || name === "sit0" ? [] : [name]));
  }

  #ask<T>(question: (socket: RouteSocket) => T): T {
    const fd = openNetworkNamespace(this.path);
    try {
      using socket = inNetworkNamespace(fd, () => new RouteSocket());
      return question(socket);
    } finally {
      closeNetworkNamespace(fd);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode !== null) return;
    const ended = once(this.#holder, "close");
    this.#holder.stdin?.end();
    await ended;
  }
}

export function bringLoopbackUp(socket: RouteSocket): void {
  socket.setLink(LOOPBACK, { isUp: true });
}
