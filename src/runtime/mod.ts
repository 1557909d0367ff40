/** The runtime: runs processes by runtime-spec configs. types.ts has its contract. */
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { errnoOf, LighterError } from "../base/errors.ts";
import { ATTACHED_CLIENTS_MAX } from "../base/limits.ts";
import { inSpan } from "../base/spans.ts";
import { writePoint } from "../base/write-point.ts";
import {
  type CgroupHost,
  type CgroupPlan,
  detectCgroupHost,
  emptyCgroup,
  readInterfaceFiles,
  setupCgroupParents,
  usableLeaves,
  wasOomKilled,
} from "../linux/cgroup/mod.ts";
import { parseExitRecord, type RawExitRecord } from "../linux/process/exit-record.ts";
import { playTask, spawnLauncher, startTask } from "../linux/process/launcher.ts";
import { connectControl } from "../linux/process/stand-in.ts";
import { PlayError, type PlayFailure, SupervisorConnection } from "../linux/process/supervisor.ts";
import { encodeProgram, type Fault } from "../linux/program/encode.ts";
import type { Program } from "../linux/program/op.ts";
import { ownRights } from "../linux/rights.ts";
import { loadCompiler, prepareFilterOf } from "../linux/seccomp/memo.ts";
import { lockExclusive } from "../linux/sys/flock.ts";
import { createMemfd, createSealedExecutable } from "../linux/sys/memfd.ts";
import { listenUnix } from "../linux/sys/unix-socket.ts";
import type { Listing } from "../spec/explanation.ts";
import { type CompiledStart, compileExec, compileStart } from "./compile.ts";
import type { ConnectRequest, DisconnectRequest } from "./connect.ts";
import { type HostFacts, LIVE_FACTS } from "./host-facts.ts";
import { rdtLeftovers } from "./intel-rdt.ts";
import { compileWait } from "./place-holder.ts";
import { explainFailure } from "./play-error.ts";
import { capabilityWarnings } from "./process.ts";
import { rootMountpointIn, runFiles } from "./run-files.ts";
import { filesystemFds } from "./shared-filesystems.ts";
import type { StandInPlan } from "./stand-in.ts";
import { isNetworked, type Networking } from "./start/plan.ts";
import { carriedFds, fdsToCarry } from "./stdio.ts";
import type {
  AttachPlan,
  Created,
  ExecRequest,
  ExitRecord,
  PlaceHolder,
  Runtime,
  StartRequest,
  Supervised,
} from "./types.ts";

export { withBuiltinDevices } from "./cgroup.ts";
export { encodeLater } from "./later.ts";
export { closeFilesystem, mountRequest, openFilesystemAt, openFilesystemOf } from "./shared-filesystems.ts";
export type { StandInPlan } from "./stand-in.ts";
export type * from "./types.ts";
export { runFiles };

interface RuntimeOptions {
  /** This engine's run-time directory, made if missing; needed for roots made of mounts. */
  execRoot?: string;
  /** The launcher's bytes, or a function that reads them when the first process is started. */
  launcher: Uint8Array | (() => Uint8Array);
  /** The host's cgroups, if they are known already. */
  cgroups?: CgroupHost;
  /** For tests with a test build of the launcher: makes one op fail. */
  fault?: Fault;
}

/** Loads ahead what some starts need; for an engine, which has time for it. */
export async function preload(): Promise<void> {
  await Promise.all([loadCompiler(), import("./network.ts"), import("./connect.ts")]);
}

/** Makes a runtime. @throws LighterError ("kernel"/"not-supported") if this host cannot run containers at all. */
export function createRuntime(options: RuntimeOptions): Runtime {
  return new LauncherRuntime(options);
}

class LauncherRuntime implements Runtime {
  readonly #readLauncher: () => Uint8Array;
  #launcherFd: number | undefined;
  readonly #host: HostFacts;
  readonly #fault: Fault | undefined;

  constructor({ execRoot, launcher, cgroups = detectCgroupHost(), fault }: RuntimeOptions) {
    const rootMountpoint = execRoot === undefined ? "" : rootMountpointIn(execRoot);
    if (rootMountpoint !== "") mkdirSync(rootMountpoint, { recursive: true, mode: 0o700 });
    this.#readLauncher = typeof launcher === "function" ? launcher : () => launcher;
    if (typeof launcher !== "function") this.#sealLauncher();
    this.#host = { cgroups, ...LIVE_FACTS, rights: ownRights(), rootMountpoint };
    this.#fault = fault;
  }

  #sealLauncher(): number {
    this.#launcherFd ??= createSealedExecutable("lighter-launcher", this.#readLauncher());
    return this.#launcherFd;
  }

  async start(request: StartRequest): Promise<Supervised> {
    const launched = await this.#launchContainer(request, false);
    const supervised = await inSpan("program", async (span) => {
      const settled = await this.#settled(request, launched, false, async ({ started }) => {
        await this.#passPauses(request, launched);
        return started;
      });
      if (span && request.isTraced)
        for (const phase of (await import("./trace.ts")).readPhases(request.runDirectory, launched)) span.add(phase);
      return settled;
    });
    if (request.onTrace)
      request.onTrace((await import("./trace.ts")).readTrace(request.runDirectory, launched), request);
    return supervised;
  }

  async create(request: StartRequest): Promise<Created> {
    const launched = await this.#launchContainer(request, true);
    const { connection, program } = launched;
    const created = await this.#settled(request, launched, true, async () => {
      const passed = await this.#passPauses(request, launched);
      return connection.paused(passed);
    });
    return Object.assign(created, {
      abandon: () => this.#abandon(request, launched),
      async start() {
        try {
          const errno = await connection.start();
          if (errno !== "") throw new LighterError("conflict", "the container is not waiting to be started", { errno });
          await connection.started;
        } catch (error) {
          throw explainFailure(error, program);
        }
      },
    });
  }

  /** Does what init waits for. Resolves with the number of pauses. */
  async #passPauses({ placeInCgroup, beforePivot }: StartRequest, { connection, cgroup }: Launched): Promise<number> {
    let passed = 0;
    const pass = async (act: (pid: number) => Promise<void>) => {
      await act(await connection.paused(passed));
      await connection.start();
      passed++;
    };
    if (placeInCgroup && cgroup) await pass((pid) => placeInCgroup(pid, cgroup, this.#host.cgroups));
    if (beforePivot) await pass(beforePivot);
    return passed;
  }

  /** Compiles a start; the shared cgroups above the container's exist then. */
  async #compileStart(request: StartRequest, hold: boolean): Promise<CompiledStart> {
    await prepareFilterOf(request.config.linux?.seccomp);
    const networking = await networkingFor(request);
    let compiled = compileStart(request, this.#host, hold, networking);
    if (compiled.cgroup && !request.placeInCgroup) {
      setupCgroupParents(this.#host.cgroups, compiled.cgroup);
      const existing = usableLeaves(compiled.cgroup, request.placeHolder);
      if (compiled.cgroup.needsInterfaceFiles) {
        const interfaceFiles = readInterfaceFiles(compiled.cgroup);
        this.#host.cgroups = { ...this.#host.cgroups, interfaceFiles };
      }
      if (compiled.cgroup.needsInterfaceFiles || existing.size > 0)
        compiled = compileStart(request, this.#host, hold, networking, existing);
    }
    const warnings = [...capabilityWarnings(request.config.process!), ...(compiled.cgroup?.warnings ?? [])];
    for (const warning of warnings) request.onWarning?.(warning);
    await announce(request, compiled.program);
    return compiled;
  }

  async #launchContainer(request: StartRequest, hold: boolean): Promise<Launched> {
    const { program, cgroup, phases } = await inSpan("compile", () => this.#compileStart(request, hold));
    return { ...(await inSpan("supervisor", () => this.#launch(program, request))), cgroup, phases };
  }

  async #compileExec(request: ExecRequest, hold: boolean): Promise<Program> {
    await prepareFilterOf(request.config.linux?.seccomp);
    for (const warning of capabilityWarnings(request.process)) request.onWarning?.(warning);
    const program = compileExec(request, this.#host, hold);
    await announce(request, program);
    return program;
  }

  async exec(request: ExecRequest): Promise<Supervised> {
    try {
      return await this.#exec(request);
    } catch (error) {
      // The cgroup in which it was to be born has handed its controllers down meanwhile; an init does that once.
      if (errnoOf(error) !== "EBUSY") throw error;
      return await this.#exec(request);
    }
  }

  async #exec(request: ExecRequest): Promise<Supervised> {
    const launched = await this.#launch(await this.#compileExec(request, false), request);
    return this.#settled(request, launched, false, ({ started }) => started);
  }

  /**
   * Waits for the start, or with `hold` until init waits. A failure is explained, and leaves nothing. A running process has no op
   * left that could fail, so its program, which is large, is not kept.
   */
  async #settled(
    request: StartRequest | ExecRequest,
    launched: Launched,
    hold: boolean,
    running: (connection: SupervisorConnection) => Promise<number>,
  ): Promise<ConnectedProcess> {
    const { connection, attached, program, undo } = launched;
    try {
      const pid = await running(connection);
      return new ConnectedProcess(request.runDirectory, connection, attached, pid, hold ? program : undefined);
    } catch (error) {
      for (const socket of attached) socket.destroy();
      if (!(error instanceof PlayError)) await this.#abandon(request, launched);
      await connection.closed; // the launcher has cleaned up
      undo();
      // The program leaves the cgroup, whatever happens; but it must not be in the way of the next start. One that came meanwhile
      // is another's.
      if ("keepCgroup" in request && request.keepCgroup && errnoOf(explainFailure(error, program)) !== "EEXIST")
        await this.removeCgroup(request.config.linux?.cgroupsPath);
      // If init failed while something was done to it, that is why the something failed.
      throw explainFailure(connection.failedOp ?? error, program);
    }
  }

  async #abandon(request: StartRequest | ExecRequest, launched: Launched): Promise<void> {
    const { connection } = launched;
    await connection.abandon();
    await connection.closed;
    // Cleans up after a launcher that was killed. A cgroup that somebody else was to make is theirs to remove, and may be another
    // container's.
    if (!("containerPid" in request || request.placeInCgroup))
      await this.removeCgroup(request.config.linux?.cgroupsPath);
  }

  async standIn(request: StartRequest | ExecRequest, plan: () => StandInPlan): Promise<never> {
    const program =
      "containerPid" in request
        ? await this.#compileExec(request, true)
        : (await this.#compileStart(request, true)).program;
    const { socketPath, spawn, undo } = this.#prepareLaunch(program, request);
    const control = connectControl(socketPath);
    try {
      spawn();
    } catch (error) {
      closeSync(control);
      undo();
      throw error;
    }
    try {
      writePoint("spawned launcher");
      const { openStandIn } = await import("./stand-in.ts");
      return openStandIn(plan(), control, this.#sealLauncher())(); // the launcher is at work for as long as this takes
    } catch (error) {
      const connection = await SupervisorConnection.open(socketPath).catch(() => undefined); // the supervisor may have gone
      closeSync(control);
      await connection?.abandon();
      await connection?.closed;
      undo();
      throw error;
    }
  }

  async #launch(program: Program, request: StartRequest | ExecRequest): Promise<Launched> {
    const { socketPath, spawn, undo } = this.#prepareLaunch(program, request);
    try {
      const connecting = SupervisorConnection.open(socketPath);
      const attaching = request.attach.map((plan) => attachTo(socketPath, plan));
      const connection = await connecting;
      const attached = await Promise.all(attaching);
      spawn(); // only now: a connected client that has said what it wants misses nothing
      return { connection, attached, program, undo };
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** Opens what the launcher listens on, until `spawn` gives it to the launcher or `undo` closes it. */
  #prepareLaunch(program: Program, request: StartRequest | ExecRequest) {
    const bytes = encodeProgram(program, this.#fault);
    const madeDirectory = makeDirectory(request.runDirectory);
    const { socket, exit, notified, trace } = runFiles(request.runDirectory);
    for (const path of [exit, notified, trace]) rmSync(path, { force: true });
    let listenFd: number | undefined = listenUnix(socket);
    const close = () => {
      if (listenFd !== undefined) closeSync(listenFd);
      listenFd = undefined;
    };
    return {
      socketPath: socket,
      spawn: () => {
        const fds = fdsToCarry(carriedFds(request), request.handOver);
        const shared = "filesystems" in request ? filesystemFds(request) : [];
        spawnLauncher(this.#sealLauncher(), bytes, listenFd!, [...fds, ...shared]);
        close();
      },
      /** Also undoes it after the launcher has gone. */
      undo: () => {
        close(); // also ends the connections
        if (madeDirectory) rmSync(request.runDirectory, { recursive: true, force: true });
        else rmSync(socket, { force: true });
      },
    };
  }

  async connect(request: ConnectRequest): Promise<void> {
    const { compileConnect } = await import("./connect.ts");
    const program = compileConnect(request, this.#host);
    const failure = await this.#playTask(program);
    if (failure) throw explainFailure(new PlayError(failure), program);
  }

  async disconnect(request: DisconnectRequest): Promise<boolean> {
    const { compileDisconnect } = await import("./connect.ts");
    const { program, removal } = compileDisconnect(request);
    const failure = await this.#playTask(program);
    if (failure?.opIndex === removal && failure.errno === "ENODEV") return false;
    if (failure) throw explainFailure(new PlayError(failure), program);
    return true;
  }

  async removeLink(index: number): Promise<void> {
    const { compileRemoveLink } = await import("./connect.ts");
    const program = compileRemoveLink(index);
    const failure = await this.#playTask(program);
    if (failure && failure.errno !== "ENODEV") throw explainFailure(new PlayError(failure), program);
  }

  #playTask(program: Program): Promise<PlayFailure | undefined> {
    return playTask(this.#sealLauncher(), encodeProgram(program, this.#fault));
  }

  holdPlace(): PlaceHolder {
    const lock = createMemfd("place", new Uint8Array(0));
    try {
      lockExclusive(lock);
      const other = openSync(`/proc/self/fd/${lock}`, "r+"); // another open file, for which the lock is taken
      try {
        const { pid, ended } = startTask(this.#sealLauncher(), encodeProgram(compileWait()), [other]);
        return {
          pid,
          release: async () => {
            closeSync(lock);
            await ended;
          },
        };
      } finally {
        closeSync(other);
      }
    } catch (error) {
      closeSync(lock);
      throw error;
    }
  }

  async reconnect(runDirectory: string): Promise<Supervised | ExitRecord | "lost"> {
    const { socket, exit, notified } = runFiles(runDirectory);
    try {
      const connection = await SupervisorConnection.open(socket);
      const pid = await Promise.race([connection.paused(0), connection.started, connection.exited.then(() => 0)]);
      if (pid !== 0) return new ConnectedProcess(runDirectory, connection, [], pid);
      await connection.closed; // the process has ended, and is being cleaned up
    } catch {
      // The supervisor has gone, or is going: then the exit record says how the process ended, or nothing does.
    }
    try {
      return exitRecord(parseExitRecord(readFileSync(exit)), readIfThere(notified));
    } catch (error) {
      if (errnoOf(error) === "ENOENT" || (error instanceof LighterError && error.code === "invalid")) return "lost";
      throw error;
    }
  }

  async cleanup({
    id,
    config,
    runDirectory,
  }: {
    id: string;
    config: OciConfigOf;
    runDirectory: string;
  }): Promise<void> {
    await this.removeCgroup(config.linux?.cgroupsPath);
    for (const path of rdtLeftovers(config, this.#host, id)) removeDirectory(path);
    rmSync(runDirectory, { recursive: true, force: true });
  }

  async removeCgroup(path = ""): Promise<void> {
    if (path !== "") await emptyCgroup(this.#host.cgroups, path);
  }

  /** Returns the program that would start the container. */
  async explain(request: StartRequest): Promise<Listing> {
    await prepareFilterOf(request.config.linux?.seccomp);
    const { listOps, superviseLines } = await import("../linux/program/list.ts");
    const { program, phases } = compileStart(request, this.#host, false, await networkingFor(request));
    return { ops: listOps(program, phases), supervise: superviseLines(program) };
  }
}

async function announce({ onOp }: StartRequest | ExecRequest, program: Program): Promise<void> {
  if (onOp) for (const line of (await import("./op-lines.ts")).opLines(program)) onOp(line);
}

async function networkingFor(request: StartRequest): Promise<Networking | undefined> {
  if (!isNetworked(request)) return undefined;
  const [network, netDevices] = await Promise.all([import("./network.ts"), import("./net-devices.ts")]);
  return { ...network, ...netDevices };
}

async function attachTo(socketPath: string, plan: AttachPlan): Promise<Socket> {
  const { connectAttached } = await import("../linux/process/attached.ts");
  return await connectAttached(socketPath, plan);
}

type OciConfigOf = StartRequest["config"];

interface Launched {
  connection: SupervisorConnection;
  attached: Socket[];
  program: Program;
  /** Removes the run-time files that were made for it. */
  undo: () => void;
  /** The cgroup of a container's start. */
  cgroup?: CgroupPlan | undefined;
  phases?: CompiledStart["phases"];
}

class ConnectedProcess implements Supervised {
  readonly exited: Promise<ExitRecord>;
  readonly gone: Promise<void>;
  #attachedCount = 0;

  constructor(
    readonly runDirectory: string,
    readonly connection: SupervisorConnection,
    readonly attached: readonly Socket[],
    readonly pid: number,
    program?: Program,
  ) {
    this.exited = connection.exited.then(
      (raw) => exitRecord(raw, connection.notified),
      (error: unknown) => {
        throw program ? explainFailure(error, program) : error;
      },
    );
    this.exited.catch(() => {}); // the caller awaits the promise itself
    this.gone = connection.closed;
    for (const socket of attached) this.#count(socket);
  }

  onLogRotated(act: () => void): void {
    this.connection.onRotated = act;
  }

  get notified(): string {
    return this.connection.notified;
  }

  onNotified(act: () => void): void {
    this.connection.onNotified = act;
  }

  async signal(signal: number): Promise<boolean> {
    const errno = await this.connection.signal(signal).catch((error: unknown) => {
      if (error instanceof LighterError && error.code === "unavailable") return "ESRCH";
      throw error;
    });
    if (errno === "" || errno === "ESRCH") return errno === "";
    throw new LighterError("kernel", `send signal ${signal}: ${errno}`, { errno });
  }

  async resize(rows: number, columns: number): Promise<void> {
    const errno = await this.connection.resize(rows, columns);
    if (errno !== "" && errno !== "ENOTTY")
      throw new LighterError("kernel", `resize the terminal: ${errno}`, { errno });
  }

  async reopenLog(): Promise<void> {
    const errno = await this.connection.reopenLog();
    if (errno !== "") throw new LighterError("kernel", `reopen the log of ${this.pid}: open(2): ${errno}`, { errno });
  }

  async closeStdin(): Promise<void> {
    await this.connection.closeStdin();
  }

  async attach(plan: AttachPlan): Promise<Socket> {
    if (this.#attachedCount >= ATTACHED_CLIENTS_MAX) throw tooManyAttached();
    const socket = await attachTo(runFiles(this.runDirectory).socket, plan);
    this.#count(socket);
    return socket;
  }

  #count(socket: Socket): void {
    this.#attachedCount++;
    socket.once("close", () => this.#attachedCount--);
  }

  disconnect(): void {
    this.connection.disconnect();
  }

  async release(): Promise<void> {
    const errno = await this.connection.release().catch(async (error: unknown) => {
      await this.exited; // rejects with what has happened, if that is known
      throw error;
    });
    if (errno !== "") throw new LighterError("conflict", "the process is not to be handed over", { errno });
    await this.gone;
  }
}

export function tooManyAttached(): LighterError {
  return new LighterError("unavailable", `${ATTACHED_CLIENTS_MAX} clients are attached already, which is the limit`);
}

function exitRecord(raw: RawExitRecord, notified: string): ExitRecord {
  const { exitCode, signal, startedAtNs, finishedAtNs, captured } = raw;
  return { exitCode, signal, startedAtNs, finishedAtNs, oomKilled: wasOomKilled([captured]), notified };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return "";
  }
}

/** Makes a directory; false if it existed. Its parent must exist: a directory that was removed meanwhile must not come back. */
function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    if (errnoOf(error) !== "ENOENT") throw error;
    throw new LighterError("not-found", `the directory for "${path}" does not exist`, { cause: error });
  }
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
