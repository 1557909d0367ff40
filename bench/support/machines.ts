/** Lighter, LXC and systemd-nspawn, to compare: each has the same root file system as the lower layer of an overlay. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { run } from "./commands.ts";
import { cpuHierarchy } from "./cpu.ts";
import { childrenOf, type Engine, startLighter } from "./engines.ts";

/** Something that keeps machines. `start` resolves when the inits of all those have said that they are up. */
export interface Manager {
  name: string;
  create(name: string): void;
  start(names: readonly string[]): Promise<void>;
  /** The host's pid of a machine's process 1. */
  initPid(name: string): number;
  /** The daemon that works for all machines, if there is one. Each also has a keeper, which is the parent of its process 1. */
  daemonPid?: number;
  /** Whether the keeper is in the machine's cgroup. */
  isKeeperInside?: boolean;
  /** The command that runs a program in a machine; undefined if there is none. */
  exec?: (name: string, ...program: string[]) => string[];
  stop(name: string): Promise<void>;
  /** Removes its machines, none of which is running, and ends what it has started. */
  close(): Promise<void>;
  env: NodeJS.ProcessEnv;
}

export const IMAGE = "bench/machine:1";

/** Makes an archive of Debian with systemd, and with further packages. Needs mmdebstrap. */
export function makeMachineRoot(folder: string, packages: readonly string[] = []): string {
  const tarball = join(folder, "root.tar");
  const include = ["systemd-sysv", "dbus", "libpam-systemd", "procps", ...packages].join(",");
  run(["mmdebstrap", "--variant=minbase", `--include=${include}`, "--skip=output/dev", "trixie", tarball]);
  return tarball;
}

/** Unpacks it with an id, which Lighter gives each of its machines: without one a boot is a first boot, which does more. */
export function unpackMachineRoot(folder: string, tarball: string): string {
  const lower = join(folder, "lower");
  mkdirSync(lower);
  run(["tar", "-C", lower, "-xf", tarball]);
  writeFileSync(join(lower, "etc/machine-id"), `${"a".repeat(32)}\n`);
  return lower;
}

/** Lighter, with a daemon of its own. Its machines have what they have by default, which is a user namespace each. */
export async function lighterMachines(folder: string, tarball: string): Promise<Manager> {
  const engine: Engine = await startLighter(folder);
  const { env } = engine;
  const lighter = (...args: string[]) => [...engine.cli, ...args];
  run(lighter("machine", "import", tarball, IMAGE), env);
  const [daemonPid = 0] = engine.daemonPids();
  const created: string[] = [];
  return {
    name: "lighter",
    env,
    create(name) {
      run(lighter("machine", "create", "--network", "none", IMAGE, name), env);
      created.push(name);
    },
    start: (names) => ended(names.map((name) => launch(lighter("machine", "start", "--wait", name), env))),
    initPid: (name) => Number(run(lighter("inspect", "-f", "{{.State.Pid}}", name), env)),
    daemonPid,
    exec: (name, ...program) => lighter("exec", name, ...program),
    stop: (name) => ended([launch(lighter("stop", "-t", "60", name), env)]),
    async close() {
      if (created.length > 0) run(lighter("rm", "-f", ...created), env);
      await engine.stop();
    },
  };
}

/** LXC as its package configures it, privileged: its root is the host's. */
export async function lxcMachines(folder: string, lower: string): Promise<Manager> {
  const path = join(folder, "lxc");
  const roots = new Roots(path, lower);
  const ready = await ReadySocket.listen(join(folder, "run/lxc-notify"));
  const lxc = (program: string, name: string, ...args: string[]) => [`lxc-${program}`, "-P", path, "-n", name, ...args];
  return {
    name: "lxc",
    env: process.env,
    create(name) {
      const config = {
        include: "/usr/share/lxc/config/common.conf",
        "uts.name": name,
        "rootfs.path": `dir:${roots.create(name)}`,
        "net.0.type": "empty",
        "mount.entry": `${ready.path} notify none bind,create=file 0 0`,
        environment: "NOTIFY_SOCKET=/notify",
      };
      const lines = Object.entries(config).map(([key, value]) => `lxc.${key} = ${value}\n`);
      writeFileSync(join(path, name, "config"), lines.join(""));
    },
    start: (names) => ready.after(names.length, () => ended(names.map((name) => launch(lxc("start", name))))),
    initPid: (name) => Number(run(lxc("info", name, "-pH"))),
    exec: (name, ...program) => lxc("attach", name, "--", ...program),
    stop: (name) => ended([launch(lxc("stop", name, "-t", "60"))]),
    async close() {
      roots.remove();
      await ready.close();
    },
  };
}

/** systemd-nspawn without machined, which a host without systemd does not have; so there is no command that enters a machine. */
export async function nspawnMachines(folder: string, lower: string): Promise<Manager> {
  const roots = new Roots(join(folder, "nspawn"), lower);
  const ready = await ReadySocket.listen(join(folder, "run/nspawn-notify"));
  const running = new Map<string, ChildProcess>();
  const pidOf = (name: string) => running.get(name)?.pid ?? 0;
  const options = "-q -b --register=no --keep-unit --private-network --notify-ready=yes --console=read-only".split(" ");
  const start = (name: string) => {
    mkdirSync(cpuCgroup(name));
    // Where it does not ask systemd for a cgroup, it stays in that of its caller.
    const enter = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', join(cpuCgroup(name), "cgroup.procs"), "systemd-nspawn"];
    const env = { ...process.env, NOTIFY_SOCKET: ready.path };
    running.set(name, launch([...enter, ...options, "-D", roots.of(name), "-M", name], env));
  };
  return {
    name: "nspawn",
    isKeeperInside: true,
    env: process.env,
    create: (name) => void roots.create(name),
    start: (names) => ready.after(names.length, async () => names.forEach(start)),
    initPid: (name) => childrenOf(pidOf(name))[0] ?? 0,
    async stop(name) {
      const child = running.get(name)!;
      const end = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM"); // with -b it passes on SIGRTMIN+3
      await end;
      rmdirSync(cpuCgroup(name));
      rmSync(`/run/systemd/nspawn/propagate/${name}`, { recursive: true, force: true });
    },
    async close() {
      roots.remove();
      await ready.close();
    },
  };
}

/** Incus with a daemon of its own and a user namespace for its machines, which are copies of the root file system. */
export async function incusMachines(folder: string, lower: string): Promise<Manager> {
  const ready = await ReadySocket.listen(join(folder, "run/incus-notify"));
  const directory = join(folder, "incus");
  mkdirSync(directory);
  const env = { ...process.env, INCUS_DIR: directory };
  const incus = (...args: string[]) => ["incus", "--force-local", ...args];
  const daemon = spawn(Bun.which("incusd") ?? "/usr/libexec/incus/incusd", [], { env, stdio: "ignore" });
  run(incus("admin", "waitready", "--timeout", "60"), env);
  run(incus("storage", "create", "default", "dir"), env);
  run(incus("profile", "device", "add", "default", "root", "disk", "path=/", "pool=default"), env);
  const about = join(folder, "metadata.yaml");
  writeFileSync(about, `architecture: ${process.arch === "x64" ? "x86_64" : "aarch64"}\ncreation_date: 1\n`);
  const image = join(folder, "incus.tar");
  run(["tar", "--transform", "s,^\\./,rootfs/,S", "-cf", image, "-C", folder, "metadata.yaml", "-C", lower, "./"]);
  run(incus("image", "import", image, "--alias", "machine"), env);
  const created: string[] = [];
  return {
    name: "incus",
    env,
    create(name) {
      const notify = `raw.lxc=lxc.mount.entry = ${ready.path} notify none bind,create=file 0 0`;
      run(incus("init", "machine", name, "-c", notify, "-c", "environment.NOTIFY_SOCKET=/notify"), env);
      created.push(name);
    },
    start: (names) => ready.after(names.length, () => ended([launch(incus("start", ...names), env)])),
    initPid: (name) => JSON.parse(run(incus("query", `/1.0/instances/${name}/state`), env)).pid,
    daemonPid: daemon.pid!,
    exec: (name, ...program) => incus("exec", name, "--", ...program),
    stop: (name) => ended([launch(incus("stop", "--timeout", "60", name), env)]),
    async close() {
      for (const name of created) run(incus("delete", "--force", name), env);
      const end = new Promise((resolve) => daemon.once("exit", resolve));
      run(incus("admin", "shutdown"), env);
      await end;
      for (const mounted of ["guestapi", "devlxd", "shmounts"]) spawnSync("umount", ["-lR", join(directory, mounted)]);
      await ready.close();
    },
  };
}

/** The directory of a cgroup of ours in the hierarchy that counts processor time. */
function cpuCgroup(name: string): string {
  return join(cpuHierarchy, `bench-${name}`);
}

function launch([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  return spawn(program, args, { env, stdio: "ignore" });
}

async function ended(children: readonly ChildProcess[]): Promise<void> {
  const one = (child: ChildProcess) =>
    new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => {
        if (code === 0) resolve();
        else reject(new Error(`${child.spawnargs.join(" ")} ended with ${code}`));
      });
    });
  await Promise.all(children.map(one));
}

/** Overlays on one root file system, for what has no images. */
class Roots {
  readonly #path: string;
  readonly #lower: string;
  readonly #names: string[] = [];

  constructor(path: string, lower: string) {
    this.#path = path;
    this.#lower = lower;
  }

  of(name: string): string {
    return join(this.#path, name, "root");
  }

  create(name: string): string {
    const path = join(this.#path, name);
    for (const directory of ["upper", "work", "root"]) mkdirSync(join(path, directory), { recursive: true });
    const options = `lowerdir=${this.#lower},upperdir=${path}/upper,workdir=${path}/work`;
    run(["mount", "-t", "overlay", "-o", options, "overlay", this.of(name)]);
    this.#names.push(name);
    return this.of(name);
  }

  remove(): void {
    for (const name of this.#names) spawnSync("umount", ["-R", this.of(name)]);
    rmSync(this.#path, { recursive: true, force: true });
  }
}

/** A socket for sd_notify(3), served by a program of its own, so that its time is nobody else's. */
class ReadySocket {
  readonly path: string;
  readonly #server: ChildProcess;
  #waiting: (() => void) | undefined;
  #said = 0;

  private constructor(path: string, server: ChildProcess) {
    this.path = path;
    this.#server = server;
  }

  static async listen(path: string): Promise<ReadySocket> {
    const server = spawn("python3", [join(import.meta.dirname, "ready.py"), path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const socket = new ReadySocket(path, server);
    const listening = Promise.withResolvers<void>();
    createInterface({ input: server.stdout! }).on("line", (line) => {
      if (line === "listening") listening.resolve();
      else socket.#said++;
      socket.#waiting?.();
    });
    await listening.promise;
    return socket;
  }

  /** Resolves when `count` inits have said that they are up since `start` was called. */
  async after(count: number, start: () => Promise<void>): Promise<void> {
    this.#said = 0;
    const all = new Promise<void>((resolve) => {
      this.#waiting = () => {
        if (this.#said >= count) resolve();
      };
    });
    await start();
    await all;
  }

  async close(): Promise<void> {
    const end = new Promise((resolve) => this.#server.once("exit", resolve));
    this.#server.kill();
    await end;
  }
}
