/** Bundles with only busybox, and the program `lighter-runtime` run as a caller runs it. */
import { type SpawnSyncOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { runtimeProgram } from "./program.ts";
import { baseConfig, type Stage } from "./stage.ts";

const APPLETS = "sh cat ls id pwd stat echo true sleep grep mount mkdir touch unshare cut env readlink sysctl";

export interface Ran {
  code: number | null;
  out: string;
  err: string;
}

export interface Bundle {
  id: string;
  directory: string;
  rootfs: string;
}

export class OciBox {
  readonly directory: string;
  readonly program: string;
  readonly root: string;
  /** The path of the compiled tests/support/attacker.c, which is static. */
  readonly attacker: string;
  #count = 0;

  constructor(readonly stage: Stage) {
    this.directory = mkdtempSync(join(stage.directory, "box-"));
    this.program = join(this.directory, "lighter-runtime");
    symlinkSync(runtimeProgram, this.program);
    this.root = join(this.directory, "state");
    this.attacker = join(this.directory, "attacker");
    const flags = ["-std=gnu11", "-O1", "-static", "-Wall", "-Wextra", "-Werror"];
    const built = spawnSync("cc", [...flags, "-o", this.attacker, "tests/support/attacker.c"], { encoding: "utf8" });
    if (built.status !== 0) throw new Error(`attacker.c does not build: ${built.stderr}`);
  }

  bundle(args: readonly string[] | string, change: (config: OciConfig, bundle: Bundle) => void = () => {}): Bundle {
    const id = `b${this.#count++}`;
    const directory = join(this.directory, id);
    const rootfs = join(directory, "rootfs");
    for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp", "data"])
      mkdirSync(join(rootfs, name), { recursive: true });
    copyFileSync("/usr/bin/busybox", join(rootfs, "bin/busybox"));
    copyFileSync(this.attacker, join(rootfs, "bin/attacker"));
    for (const name of APPLETS.split(" ")) symlinkSync("busybox", join(rootfs, "bin", name));
    const bundle = { id, directory, rootfs };
    this.configure(bundle, args, change);
    return bundle;
  }

  /** Writes the bundle's config.json, replacing an earlier one. */
  configure(bundle: Bundle, args: readonly string[] | string, change: (config: OciConfig, bundle: Bundle) => void) {
    const config = this.config(bundle, args);
    change(config, bundle);
    writeFileSync(join(bundle.directory, "config.json"), JSON.stringify(config));
  }

  config({ id, rootfs }: Bundle, args: readonly string[] | string): OciConfig {
    const argv = typeof args === "string" ? ["/bin/sh", "-c", args] : args;
    const config = baseConfig(rootfs, `/${this.stage.parent}/${id}`, argv);
    config.mounts = config.mounts!.filter(({ destination }) => destination !== "/usr");
    return config;
  }

  cli(args: readonly string[], options: SpawnSyncOptions = {}): Ran {
    return this.runtime(this.program, args, options);
  }

  /** Runs another runtime with the same arguments. */
  runtime(program: string, args: readonly string[], options: SpawnSyncOptions = {}): Ran {
    const { status, stdout, stderr } = spawnSync(program, ["--root", this.root, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 30_000,
      ...options,
    });
    return { code: status, out: String(stdout ?? ""), err: String(stderr ?? "") };
  }

  run({ id, directory }: Bundle, options: SpawnSyncOptions = {}): Ran {
    return this.cli(["run", "--bundle", directory, id], options);
  }

  /** Calls `act` while a container of the bundle sleeps. */
  running<T>(bundle: Bundle, act: () => T, how: "run" | "create" = "run"): T {
    const args = how === "run" ? ["run", "--detach"] : ["create"];
    // A file, not a pipe: the container has its caller's stdio, and would hold a pipe open.
    const log = join(bundle.directory, "stderr");
    const logFd = openSync(log, "w");
    const started = this.cli([...args, "--bundle", bundle.directory, bundle.id], {
      stdio: ["ignore", "ignore", logFd],
    });
    closeSync(logFd);
    if (started.code !== 0) throw new Error(`${how}: ${readFileSync(log, "utf8")}`);
    const end = () => void this.cli(["delete", "--force", bundle.id]);
    let result: T;
    try {
      result = act();
    } catch (error) {
      end();
      throw error;
    }
    if (result instanceof Promise) return result.finally(end) as T;
    end();
    return result;
  }

  pid({ id }: Bundle): number {
    return JSON.parse(this.cli(["state", id]).out).pid;
  }

  /** Calls `act` while the attacker is at work. */
  async attacked<T>(args: readonly string[], act: () => Promise<T>): Promise<T> {
    const attacker = spawn(this.attacker, args, { stdio: ["ignore", "pipe", "inherit"] });
    const gone = once(attacker, "exit");
    try {
      await once(attacker.stdout, "data");
      return await act();
    } finally {
      attacker.kill("SIGKILL");
      await gone;
    }
  }
}

export function script(path: string, text: string): void {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}
