/** A private dockerd, and both command lines run the same way, for tests that compare ours with Docker's. */
import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "../support/missing.ts";
import { NetworkNamespace } from "../support/network-namespace.ts";
import { lighterProgram } from "../support/program.ts";

/** Why the tests against a real dockerd cannot run here, or undefined. */
export function whyNoDocker(): string | undefined {
  return process.getuid?.() === 0 ? missing("docker", "dockerd", "iptables", "busybox") : "needs root";
}

export interface Outcome {
  stdout: string;
  stderr: string;
  code: number;
}

export interface RunOptions {
  stdin?: string | Uint8Array;
  env?: Record<string, string>;
  cwd?: string;
}

export const lighterCommand: readonly string[] = [lighterProgram];

/** Runs to the end. Both clients see no configuration of the user who runs the tests. */
export async function runProgram(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: process.env.HOME ?? "/",
    DOCKER_CONFIG: "/nonexistent",
    ...options.env,
  };
  const spawnOptions: SpawnOptions = { env, stdio: ["pipe", "pipe", "pipe"], cwd: options.cwd ?? "/" };
  const child = spawn(argv[0] ?? "", argv.slice(1), spawnOptions);
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout?.on("data", (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => chunks.stderr.push(chunk));
  child.stdin?.on("error", () => {}); // the program may end before it has read everything
  child.stdin?.end(options.stdin ?? "");
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, signal) => resolve(exitCode ?? (signal === null ? -1 : -2)));
  });
  return {
    stdout: Buffer.concat(chunks.stdout).toString(),
    stderr: Buffer.concat(chunks.stderr).toString(),
    code,
  };
}

/** A root file system: busybox with all its applets, and two users. */
export async function makeBusyboxRootfs(path: string): Promise<void> {
  for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp"]) mkdirSync(join(path, name), { recursive: true });
  const busybox = Bun.which("busybox") ?? "";
  spawnSync("cp", ["-L", busybox, join(path, "bin/busybox")]);
  const applets = spawnSync(busybox, ["--list"]).stdout.toString().trim().split("\n");
  for (const applet of applets) if (applet !== "busybox") symlinkSync("busybox", join(path, "bin", applet));
  await Bun.write(join(path, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n");
  await Bun.write(join(path, "etc/group"), "root:x:0:\nuser:x:1000:\n");
}

/** Docker's words with our program's name. */
export function renamed({ stdout, stderr, code }: Outcome): Outcome {
  const rename = (text: string) =>
    text
      .replaceAll(/^docker:/gm, "lighter:")
      .replaceAll(/(['"])docker\b/g, "$1lighter")
      .replaceAll("Usage:  docker", "Usage:  lighter");
  return { stdout: rename(stdout), stderr: rename(stderr), code };
}

export class PrivateDocker {
  readonly #pid: number;
  readonly #namespace: NetworkNamespace | undefined;

  private constructor(
    readonly folder: string,
    pid: number,
    namespace: NetworkNamespace | undefined,
  ) {
    this.#pid = pid;
    this.#namespace = namespace;
  }

  /** With `networks`. */
  get network(): NetworkNamespace {
    if (this.#namespace === undefined) throw new Error("this dockerd has no networks");
    return this.#namespace;
  }

  get host(): string {
    return `unix://${join(this.folder, "docker.sock")}`;
  }

  /**
   * Starts it beside any other and gives it the image "busybox". It has no networks, or with `networks` those of a network
   * namespace of its own, with bridge and iptables.
   */
  static async start(flags: readonly string[] = [], { networks = false } = {}): Promise<PrivateDocker> {
    const folder = mkdtempSync(join(tmpdir(), "lighter-compat-"));
    const log = openSync(join(folder, "dockerd.log"), "w");
    const namespace = networks ? await NetworkNamespace.create() : undefined;
    const dockerd = [
      ...["dockerd", "--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")],
      ...["-p", join(folder, "pid"), "-H", `unix://${join(folder, "docker.sock")}`],
      ...(networks ? [] : ["--bridge=none", "--iptables=false"]),
      ...flags,
    ];
    const [command = "", ...args] = namespace?.inside(...dockerd) ?? dockerd;
    const child = spawn(command, args, { stdio: ["ignore", log, log], detached: true });
    const docker = new PrivateDocker(folder, child.pid ?? 0, namespace);
    await docker.#waitForSocket();
    await docker.#importBusybox();
    return docker;
  }

  async #waitForSocket(): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      const answers = await new Promise<boolean>((resolve) => {
        const socket = createConnection(join(this.folder, "docker.sock"));
        socket.once("connect", () => {
          socket.destroy();
          resolve(true);
        });
        socket.once("error", () => resolve(false));
      });
      if (answers) return;
      await Bun.sleep(50);
    }
    throw new Error(`dockerd did not answer, see ${this.folder}/dockerd.log`);
  }

  async #importBusybox(): Promise<void> {
    const image = join(this.folder, "image");
    await makeBusyboxRootfs(image);
    const tar = spawnSync("tar", ["-C", image, "-cf", join(this.folder, "busybox.tar"), "."]);
    if (tar.status !== 0) throw new Error(`tar: ${tar.stderr}`);
    const changes = ["-c", 'CMD ["sh"]', "-c", "ENV PATH=/bin"];
    await this.succeed(["import", ...changes, join(this.folder, "busybox.tar"), "busybox:latest"]);
    await this.succeed(["save", "-o", join(this.folder, "saved.tar"), "busybox"]);
  }

  docker(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runProgram(["docker", ...args], { ...options, env: { DOCKER_HOST: this.host, ...options.env } });
  }

  /** `docker` with these arguments. Throws if it fails. */
  async succeed(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.docker(args, options);
    if (outcome.code !== 0) throw new Error(`docker ${args.join(" ")}: ${outcome.stderr}`);
    return outcome;
  }

  lighter(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runProgram([lighterProgram, ...args], { ...options, env: { DOCKER_HOST: this.host, ...options.env } });
  }

  /** Removes all containers and ends the daemon. */
  async stop(): Promise<void> {
    const { stdout } = await this.docker(["ps", "-aq"]);
    const ids = stdout.split("\n").filter((id) => id !== "");
    if (ids.length > 0) await this.docker(["rm", "-f", ...ids]);
    process.kill(this.#pid, "SIGTERM");
    const deadline = performance.now() + 30_000;
    while (existsSync(join(this.folder, "pid")) && performance.now() < deadline) await Bun.sleep(50);
    await this.#namespace?.[Symbol.asyncDispose]();
    // Of containers on the network of its namespace, which it does not take for its own; of its data, which it leaves if it is busy.
    const mountPoints = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
    for (const mountPoint of mountPoints.reverse())
      if (mountPoint.startsWith(`${this.folder}/`)) spawnSync("umount", [mountPoint]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
