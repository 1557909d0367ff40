/** Runs real containers for tests, with the host's programs, and checks that nothing is left of them. */
import { afterAll } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOCKER_DEFAULT_CAPABILITIES } from "../../src/linux/capability/mod.ts";
import { type CgroupHost, defaultDeviceRules, detectCgroupHost, removeCgroup } from "../../src/linux/cgroup/mod.ts";
import type { Fault } from "../../src/linux/program/encode.ts";
import { FRAME } from "../../src/linux/program/format.ts";
import {
  type AttachPlan,
  createRuntime,
  type ExecRequest,
  type ExitRecord,
  type Runtime,
  type StartRequest,
  type Supervised,
} from "../../src/runtime/mod.ts";
import type { NamespaceType, OciConfig, OciMount } from "../../src/spec/oci-runtime.ts";
import { missing } from "./missing.ts";
import { testIf } from "./test-if.ts";

export const isRoot = process.getuid?.() === 0;
export const rooted = testIf(isRoot, "needs root");

/** `rooted` for tests that start these programs. */
export function rootedWith(...programs: readonly string[]): typeof rooted {
  const whyNot = isRoot ? missing(...programs) : "needs root";
  return testIf(whyNot === undefined, whyNot ?? "");
}

/** The containers' programs are the host's own, bound read-only: nothing has to be installed for these tests. */
const HOST_DIRECTORIES = ["usr"] as const;
const USR_LINKS = ["bin", "sbin", "lib", "lib64"] as const;

export interface Ran extends ExitRecord {
  stdout: string;
  stderr: string;
}

type Change = (config: OciConfig) => void;

export interface RunOptions {
  change?: Change;
  terminal?: boolean;
  /** The input, after which stdin is closed. */
  stdin?: string;
  log?: StartRequest["log"];
  network?: StartRequest["network"];
  /** Whether the root is an overlay above the stage's root file system. */
  layered?: boolean;
  /** The connections to open, instead of a single one for everything. */
  attach?: readonly AttachPlan[];
}

export const OUTPUT: AttachPlan = { stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false };
export const ALL: AttachPlan = { stdin: true, stdout: true, stderr: true, closeStdinOnEnd: true };

/**
 * The place of one test file's containers: a scratch directory, a root file system, a parent cgroup, a runtime. All of it is gone
 * at the end, or the file fails.
 */
export class Stage {
  readonly directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-runtime-"));
  readonly rootfs = join(this.directory, "rootfs");
  readonly execRoot = join(this.directory, "run");
  readonly parent = `lighter-test-${randomBytes(4).toString("hex")}`;
  readonly host: CgroupHost = detectCgroupHost();
  readonly runtime: Runtime;
  readonly fault: Fault;
  #count = 0;

  /** Creates a stage that closes itself after the file's tests. `fault`: the op at which a test build of the launcher fails. */
  constructor(options: { fault?: Fault } = {}) {
    this.fault = options.fault ?? { index: 0, errno: "EIO" };
    makeRootfs(this.rootfs);
    mkdirSync(this.execRoot);
    const launcher = readFileSync(options.fault ? "dist/launcher-test" : "dist/launcher");
    this.runtime = createRuntime({ execRoot: this.execRoot, launcher, ...options });
    afterAll(() => this.close());
  }

  /** Closes the stage. @throws Error naming the containers of which something was left, after removing it. */
  async close(): Promise<void> {
    const left = this.leftovers();
    for (const id of left)
      await this.runtime.cleanup({ id, config: this.config(id, []), runDirectory: this.runDirectory(id) });
    removeCgroup(this.host, `/${this.parent}`);
    rmSync(this.directory, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`cgroups were left: ${left.join(" ")}`);
  }

  /** The ids of containers whose cgroup still exists. */
  leftovers(): string[] {
    const mountPoint = this.host.v2?.mountPoint ?? this.host.v1[0]!.mountPoint;
    const path = join(mountPoint, this.parent);
    if (!existsSync(path)) return [];
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  }

  /** Makes a new id, with its run directory. */
  newId(): string {
    return `c${this.#count++}`;
  }

  runDirectory(id: string): string {
    return join(this.execRoot, id);
  }

  config(id: string, args: readonly string[], change: Change = () => {}): OciConfig {
    const config = baseConfig(this.rootfs, `/${this.parent}/${id}`, args);
    change(config);
    return config;
  }

  request(args: readonly string[], options: RunOptions = {}): StartRequest {
    const id = this.newId();
    const stdin = options.stdin !== undefined || (options.attach ?? []).some((plan) => plan.stdin);
    const config = this.config(id, args, options.change);
    if (options.terminal) config.process!.terminal = true;
    return {
      id,
      config,
      rootfs: options.layered ? [this.#overlay()] : [],
      runDirectory: this.runDirectory(id),
      stdio: { terminal: options.terminal ?? false, stdin },
      ...(options.log ? { log: options.log } : {}),
      ...(options.network ? { network: options.network } : {}),
      attach: options.attach ?? [{ ...ALL, stdin }],
    };
  }

  #overlay(): OciMount {
    const directory = mkdtempSync(join(this.directory, "overlay-"));
    const [upper, work] = ["upper", "work"].map((name) => join(directory, name)) as [string, string];
    for (const path of [upper, work]) mkdirSync(path);
    const options = [`lowerdir=${this.rootfs}`, `upperdir=${upper}`, `workdir=${work}`];
    return { destination: "/", type: "overlay", source: "overlay", options };
  }

  /** Runs a container until the process, its output and the supervisor have ended. */
  async run(args: readonly string[] | string, options: RunOptions = {}): Promise<Ran> {
    const request = this.request(typeof args === "string" ? ["/bin/sh", "-c", args] : args, options);
    return finish(await this.runtime.start(request), options);
  }

  async exec(
    container: { request: StartRequest; pid: number },
    args: readonly string[] | string,
    options: RunOptions & { process?: Partial<NonNullable<OciConfig["process"]>> } = {},
  ): Promise<Ran> {
    return finish(await this.runtime.exec(this.execRequest(container, args, options)), options);
  }

  execRequest(
    { request, pid }: { request: StartRequest; pid: number },
    args: readonly string[] | string,
    options: RunOptions & { process?: Partial<NonNullable<OciConfig["process"]>> } = {},
  ): ExecRequest {
    const id = this.newId();
    const stdin = options.stdin !== undefined;
    return {
      id,
      containerPid: pid,
      config: request.config,
      process: {
        ...request.config.process!,
        terminal: options.terminal ?? false,
        ...options.process,
        args: typeof args === "string" ? ["/bin/sh", "-c", args] : [...args],
      },
      runDirectory: this.runDirectory(id),
      stdio: { terminal: options.terminal ?? false, stdin },
      attach: options.attach ?? [{ ...ALL, stdin }],
    };
  }

  /** Starts a container that sleeps until it is killed; `end` kills it and waits until all of it is gone. */
  async sleeper(options: RunOptions & { args?: readonly string[] } = {}): Promise<Sleeper> {
    const request = this.request(options.args ?? ["/bin/sleep", "1000"], { ...options, attach: options.attach ?? [] });
    const container = await this.runtime.start(request);
    return {
      request,
      pid: container.pid,
      container,
      end: async () => {
        await container.signal(9);
        const record = await container.exited;
        await container.gone;
        return record;
      },
    };
  }
}

export interface Sleeper {
  request: StartRequest;
  pid: number;
  container: Supervised;
  end(): Promise<ExitRecord>;
}

/** Collects what the first attached connection receives, until the container's end. */
export async function finish(container: Supervised, options: RunOptions = {}): Promise<Ran> {
  const [socket] = container.attached;
  const output = socket ? collect(socket, options.terminal ?? false) : Promise.resolve({ stdout: "", stderr: "" });
  if (socket) socket.end(options.stdin ?? "");
  const [record, texts] = await Promise.all([container.exited, output]);
  await container.gone;
  return { ...record, ...texts };
}

/** Reads all of a connection's output, to its end. */
export async function collect(socket: Socket, terminal: boolean): Promise<{ stdout: string; stderr: string }> {
  const chunks: Record<number, Buffer[]> = { [FRAME.STDOUT]: [], [FRAME.STDERR]: [] };
  const reader = new OutputReader();
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (terminal) chunks[FRAME.STDOUT]!.push(chunk);
    else for (const { kind, payload } of reader.push(chunk)) chunks[kind]!.push(Buffer.from(payload));
  }
  return {
    stdout: Buffer.concat(chunks[FRAME.STDOUT]!).toString(),
    stderr: Buffer.concat(chunks[FRAME.STDERR]!).toString(),
  };
}

/** Reads frames of output, which are larger than those of control connections. */
export class OutputReader {
  #pending: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): { kind: number; payload: Uint8Array }[] {
    const bytes = Buffer.concat([this.#pending, chunk]);
    const frames: { kind: number; payload: Uint8Array }[] = [];
    let at = 0;
    while (bytes.length - at >= 8) {
      const end = at + 8 + bytes.readUInt32BE(at + 4);
      if (end > bytes.length) break;
      frames.push({ kind: bytes[at]!, payload: bytes.subarray(at + 8, end) });
      at = end;
    }
    this.#pending = bytes.subarray(at);
    return frames;
  }
}

/**
 * Reads a connection until its output so far satisfies `done`. Fails if the connection ends before. Bytes that follow stay
 * unread.
 */
export async function readUntil(socket: Socket, done: (text: string) => boolean): Promise<string> {
  let text = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (done(text)) return text;
  }
  throw new Error(`the output ended: ${JSON.stringify(text)}`);
}

/** The reason for which a promise is rejected. (bun:test's own `rejects` takes a tenth of a second and more each time.) */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  const value = await promise.catch((error: unknown) => ({ error }));
  if (typeof value === "object" && value !== null && "error" in value) return value.error;
  throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
}

/** Whether a process is alive. A zombie is dead, whether or not somebody reaps it. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** The pid of the supervisor, which is the parent of the container's first process. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

export function makeRootfs(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o755 });
  for (const name of ["dev", "etc", "proc", "sys", "tmp", "data", ...HOST_DIRECTORIES]) mkdirSync(join(path, name));
  for (const name of USR_LINKS) if (existsSync(`/${name}`)) symlinkSync(`usr/${name}`, join(path, name));
}

const NAMESPACES: readonly NamespaceType[] = ["pid", "network", "mount", "ipc", "uts", "cgroup"];

/** The config that Docker would ask for, without a seccomp filter. */
export function baseConfig(rootfs: string, cgroupsPath: string, args: readonly string[]): OciConfig {
  const capabilities = [...DOCKER_DEFAULT_CAPABILITIES];
  return {
    ociVersion: "1.2.0",
    hostname: "box",
    process: {
      cwd: "/",
      args: [...args],
      env: ["PATH=/usr/local/bin:/bin:/usr/bin", "TERM=xterm", "LC_ALL=C"],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: rootfs },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777"] },
      ...HOST_DIRECTORIES.filter((name) => statSync(`/${name}`).isDirectory()).map((name) => ({
        destination: `/${name}`,
        type: "bind",
        source: `/${name}`,
        options: ["rbind", "ro", "rprivate"],
      })),
    ],
    linux: {
      namespaces: NAMESPACES.map((type) => ({ type })),
      cgroupsPath,
      resources: { devices: defaultDeviceRules() },
      maskedPaths: ["/proc/kcore", "/proc/keys", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
