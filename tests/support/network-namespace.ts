/** Network namespaces for tests, with loopback. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import {
  closeNetworkNamespace,
  inNetworkNamespace,
  openNetworkNamespace,
} from "../../src/linux/sys/network-namespace.ts";

/** The index of loopback, which is the same everywhere. */
const LOOPBACK = 1;

/** A network namespace that lasts as long as a small process in it, which ends with the test's process, however that ends. */
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

  /** The pid of a process in the namespace. */
  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  get path(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** The command that runs `argv` in the namespace, as the same process. */
  inside(...argv: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, "--", ...argv];
  }

  /** Runs a command in the namespace and returns its standard output. @throws Error with its message if it fails */
  run(...argv: readonly string[]): string {
    const [command = "", ...args] = this.inside(...argv);
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** The names of the namespace's links, without those of any new namespace: loopback, and some kernels' tunnels. */
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
