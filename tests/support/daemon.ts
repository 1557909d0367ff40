/** A daemon in its own process, with the real runtime: tests can kill it and start it anew. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ApiClient } from "./api-client.ts";
import { dockerArchive } from "./image-archive.ts";
import { rawTar } from "./image-tar.ts";
import { NetworkNamespace } from "./network-namespace.ts";
import { crashingProgram } from "./program.ts";

export interface TestDaemonOptions {
  /** Runs the daemon in the host's network namespace, so that it can reach a server of the test. It must make no networks. */
  hostNetwork?: boolean;
  flags?: readonly string[];
  /** A command that executes its arguments, put before the daemon's command line. */
  wrapper?: readonly string[];
  /** An existing directory to use as the data root. */
  dataRoot?: string;
}

export class TestDaemon extends ApiClient implements AsyncDisposable {
  readonly directory: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  /** The daemon's output over all its lives. */
  log = "";
  readonly #flags: readonly string[];
  readonly #wrapper: readonly string[];
  readonly #namespace: NetworkNamespace | undefined;
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  private constructor(
    directory: string,
    namespace: NetworkNamespace | undefined,
    { flags = [], wrapper = [], dataRoot = join(directory, "data") }: TestDaemonOptions,
  ) {
    super(join(directory, "api.sock"), false);
    this.#namespace = namespace;
    this.#flags = flags;
    this.#wrapper = wrapper;
    this.directory = directory;
    this.dataRoot = dataRoot;
    this.execRoot = join(directory, "run");
    this.image = "host-usr";
  }

  /** Starts a daemon with an image whose programs are the host's, see `hostUsr`. */
  static async start(options: TestDaemonOptions = {}): Promise<TestDaemon> {
    const namespace = options.hostNetwork ? undefined : await NetworkNamespace.create();
    const directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-daemon-"));
    await using undo = new AsyncDisposableStack();
    const daemon = undo.use(new TestDaemon(directory, namespace, options));
    await daemon.launch();
    await daemon.request("POST", "/images/load", hostUsrImage(), { "Content-Type": "application/x-tar" });
    undo.move();
    return daemon;
  }

  /** The network namespace of all the daemon's lives. */
  get network(): NetworkNamespace {
    if (this.#namespace === undefined) throw new Error("this daemon is in the host's network namespace");
    return this.#namespace;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Launches the daemon. Resolves when it listens, or when it has ended before: see `isAlive`. */
  async launch(env: Record<string, string> = {}, flags: readonly string[] = []): Promise<void> {
    const roots = ["--data-root", this.dataRoot, "--exec-root", this.execRoot];
    const args = ["daemon", "-H", `unix://${this.socketPath}`, ...roots, ...this.#flags, ...flags];
    const argv = [...this.#wrapper, crashingProgram, ...args];
    const [command = "", ...rest] = this.#namespace?.inside(...argv) ?? argv;
    const child = spawn(command, rest, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once("close", resolve)); // "close" comes after the end of its streams
    const listening = Promise.withResolvers<void>();
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.log += `${line}\n`;
      if (line.includes("listening on")) listening.resolve();
    });
    await Promise.race([listening.promise, this.#ended]);
  }

  get isAlive(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Kills the daemon, as `kill -9` does. */
  async kill(): Promise<void> {
    this.disconnect();
    this.#process?.kill("SIGKILL");
    await this.#ended;
  }

  /** Waits for the daemon's exit code, or the signal that killed it. */
  async ended(): Promise<readonly [code: number | null, signal: NodeJS.Signals | null]> {
    await this.#ended;
    this.disconnect();
    return [this.#process?.exitCode ?? null, this.#process?.signalCode ?? null];
  }

  /** Lists paths that containers, and builds' steps, have left: directories, and cgroups of the given ids. */
  leftovers(ids: readonly string[]): string[] {
    const inside = (path: string) => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []);
    const directories = ["containers", "image/steps", "volumes", "volumes/.removed"]
      .flatMap((name) => inside(join(this.dataRoot, name)))
      .filter((path) => !path.endsWith("/.removed"));
    const runDirectories = ["b", "c", "e", "v"].flatMap((name) => inside(join(this.execRoot, name)));
    const cgroups = cgroupMountPoints().flatMap((path) => inside(join(path, "lighter")));
    return [...directories, ...runDirectories, ...cgroups.filter((path) => ids.some((id) => path.includes(id)))];
  }

  /** Removes every container, waits until nothing is left of them, and ends the daemon. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isAlive) {
      const { json } = await this.request("GET", "/containers/json?all=1");
      for (const { Id } of json) await this.request("DELETE", `/containers/${Id}?force=1`);
    }
    await this.kill();
    await this.#namespace?.[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function cgroupMountPoints(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(" ")[4]!);
}

/** The host configuration that goes with `hostUsrImage`: its /usr is the host's. */
export const hostUsr = { Binds: ["/usr:/usr:ro"], NetworkMode: "none" };

/** An image with nothing but links into /usr. */
export function hostUsrImage(): Buffer {
  const links = ["bin", "sbin", "lib", "lib64"].filter((name) => existsSync(`/${name}`));
  const layer = rawTar(
    { name: "etc/passwd", content: "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n" },
    ...links.map((name) => ({ name, type: "2", linkName: `usr/${name}` })),
  );
  return dockerArchive({ layers: [layer], tags: ["host-usr:latest"], config: { Cmd: ["/bin/sh"] } });
}
