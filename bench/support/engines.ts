/** Starts private daemons of Lighter and Docker to compare. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./commands.ts";

const root = join(import.meta.dirname, "../..");
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;

/** A private daemon with its own directories and socket, beside any that is in use. */
export interface Engine {
  name: string;
  /** The address of its socket, as Docker's client takes it. */
  socket: string;
  /** The command line of the client, up to its subcommand. */
  cli: string[];
  env: NodeJS.ProcessEnv;
  /** The pids of the daemon and of its permanent processes (containerd), without supervisors. */
  daemonPids(): number[];
  /** The pids of the daemon's children: supervisors, workers. */
  childPids(): number[];
  /** The directory of its images and other data. */
  dataPath: string;
  stop(): Promise<void>;
}

/**
 * Makes a folder on a real disk, with `run`, a tmpfs, inside, because what engines keep below /run is usually on one, too.
 * `remove` removes it.
 */
export function makeWorkFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(process.env.LIGHTER_BENCH_DIR ?? tmpdir(), "lighter-bench-"));
  mkdirSync(join(path, "run"));
  run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", join(path, "run")]);
  const remove = () => {
    run(["umount", "-R", join(path, "run")]);
    spawnSync("umount", ["-lR", dataPathOf("docker", path)]); // a mount of it on itself, if dockerd was killed
    rmSync(path, { recursive: true, force: true });
  };
  return { path, remove };
}

/** Installs those of Debian's packages that are missing; their services are not started. */
export function ensurePackages(...names: string[]): void {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: for dpkg-query to fill in
  const status = (name: string) => spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", name]).stdout.toString();
  const missing = names.filter((name) => status(name) !== "installed");
  if (missing.length === 0) return;
  console.error(`bench: installing ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  run(["apt-get", "update", "-qq"], env);
  run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...missing], env);
}

export interface EngineOptions {
  /**
   * Whether the daemon runs in its own network namespace, where it may make bridges and rules; otherwise it is in the host's,
   * where it must not.
   */
  networks?: boolean;
  /** Lighter's own flags. */
  flags?: readonly string[];
}

/** The command that runs its arguments in a new network namespace, as the same process. */
const IN_NEW_NETWORK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

function spawnDaemon(argv: readonly string[], { networks = false }: EngineOptions, log: number) {
  const [program = "", ...args] = [...(networks ? IN_NEW_NETWORK : []), ...argv];
  return spawn(program, args, { stdio: ["ignore", log, log] });
}

/** The directory of an engine's data. A file system that is mounted there before the engine's start is used by it. */
export function dataPathOf(name: string, folder: string): string {
  return join(folder, `${name}-data`);
}

export async function startDocker(folder: string, options: EngineOptions = {}): Promise<Engine> {
  const dataPath = dataPathOf("docker", folder);
  const socket = join(folder, "docker.sock");
  const exec = join(folder, "run/docker");
  const log = openSync(join(folder, "docker.log"), "a");
  const args = `--data-root ${dataPath} --exec-root ${exec} -p ${folder}/docker.pid -H unix://${socket}`;
  const without = options.networks ? [] : ["--bridge=none", "--iptables=false"];
  const child = spawnDaemon(["dockerd", ...args.split(" "), ...without], options, log);
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}` };
  await answering(["docker", "version"], env);
  const containerdPid = () => Number(readFileSync(join(exec, "containerd/containerd.pid"), "utf8"));
  return {
    name: "docker",
    socket: `unix://${socket}`,
    cli: ["docker"],
    env,
    daemonPids: () => [child.pid ?? 0, containerdPid()],
    childPids: () => childrenOf(child.pid ?? 0),
    dataPath,
    stop: () => stopped(child),
  };
}

export async function startLighter(folder: string, options: EngineOptions = {}): Promise<Engine> {
  const dataPath = dataPathOf("lighter", folder);
  const socket = join(folder, "lighter.sock");
  const program = join(root, "dist/lighter");
  const log = openSync(join(folder, "lighter.log"), "a");
  mkdirSync(dataPath, { recursive: true });
  const args = `daemon --host unix://${socket} --data-root ${dataPath} --exec-root ${folder}/run/lighter`;
  const child = spawnDaemon([program, ...args.split(" "), ...(options.flags ?? [])], options, log);
  const env = { ...process.env, LIGHTER_HOST: `unix://${socket}` };
  // Docker's client is used: Lighter's would start another daemon if none answers yet.
  await answering(["docker", "version"], { ...env, DOCKER_HOST: `unix://${socket}` });
  return {
    name: "lighter",
    socket: `unix://${socket}`,
    cli: [program],
    env,
    daemonPids: () => [child.pid ?? 0],
    childPids: () => childrenOf(child.pid ?? 0),
    dataPath,
    stop: async () => {
      await supervisorsGone(child.pid ?? 0);
      await stopped(child);
    },
  };
}

/** Waits for the supervisors of removed containers, which may still hold files. */
async function supervisorsGone(daemon: number): Promise<void> {
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while (childrenOf(daemon).some(isSupervisor) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Whether a process is a supervisor; false for one that has ended meanwhile. */
export function isSupervisor(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith("lighter-supervisor");
  } catch {
    return false;
  }
}

async function answering(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const [program = "", ...args] = argv;
    if (spawnSync(program, args, { env }).status === 0) return;
    if (performance.now() > deadline) throw new Error(`${argv.join(" ")} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function stopped(child: ReturnType<typeof spawn>): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  return ended;
}

/** Loads the same busybox image into both engines, as IMAGE. */
export function loadBusybox(folder: string, docker: Engine, lighter: Engine): void {
  const tree = join(folder, "rootfs");
  mkdirSync(join(tree, "bin"), { recursive: true });
  run(["cp", "/bin/busybox", join(tree, "bin/busybox")]);
  for (const name of ["sh", "true", "sleep", "cat"]) run(["ln", "-sf", "busybox", join(tree, "bin", name)]);
  run(["tar", "-C", tree, "-cf", join(folder, "rootfs.tar"), "."]);
  run([...docker.cli, "import", join(folder, "rootfs.tar"), IMAGE], docker.env);
  run([...docker.cli, "save", "-o", join(folder, "image.tar"), IMAGE], docker.env);
  run([...lighter.cli, "load", "-i", join(folder, "image.tar")], lighter.env);
}

export const IMAGE = "bench/busybox:1";

/** Calls a function for each engine in turn. Returns the results by the engine's name. */
export async function eachEngine<C extends { engine: Engine }, T>(
  contenders: readonly C[],
  act: (contender: C) => Promise<T>,
): Promise<Record<string, T>> {
  const results: Record<string, T> = {};
  for (const contender of contenders) results[contender.engine.name] = await act(contender);
  return results;
}

/** Resident memory, shared pages included, in KiB. */
export function residentKib(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (line?.[1] === undefined) throw new Error(`process ${pid} has no VmRSS`);
  return Number(line[1]);
}

/** Resident memory in KiB, with each shared page divided by the number of its users. */
export function proportionalKib(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]);
}

/** The pids of the children of `parent`, a process with one thread or whose main thread starts them. */
export function childrenOf(parent: number): number[] {
  return readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}
