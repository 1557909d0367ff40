/**
 * A runtime without processes: the test plays the process. Attached clients get real sockets, logs are real files, and a running
 * process survives the engine that started it, as with the real runtime.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { formatRfc3339, nowNs } from "../../src/base/time.ts";
import type {
  AttachPlan,
  Created,
  ExecRequest,
  ExitRecord,
  Runtime,
  StartRequest,
  Supervised,
} from "../../src/runtime/types.ts";
import type { Listing } from "../../src/spec/explanation.ts";

const SIGKILL = 9;

/** Makes pairs of connected sockets, such as those between the daemon and a supervisor. */
class SocketPairs {
  readonly #directory = mkdtempSync(join(tmpdir(), "lighter-pairs-"));
  readonly #path = join(this.#directory, "s");
  readonly #accepted: ((socket: Socket) => void)[] = [];
  #server: Server | undefined;

  async make(): Promise<[ours: Socket, theirs: Socket]> {
    if (this.#server === undefined) {
      this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accepted.shift()?.(socket));
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#server.listen(this.#path, resolve);
      await promise;
    }
    const accepted = new Promise<Socket>((resolve) => this.#accepted.push(resolve));
    const ours = connect({ path: this.#path, allowHalfOpen: true } as Parameters<typeof connect>[0] & object);
    ours.on("error", () => ours.destroy()); // at the end of a test the server may close before the socket is connected
    return [ours, await accepted];
  }

  close(): void {
    this.#server?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A process that does what the test says. */
export class FakeProcess {
  readonly pid: number;
  readonly signals: number[] = [];
  readonly sizes: [rows: number, columns: number][] = [];
  /** The input so far, and whether stdin was closed. */
  stdin = "";
  stdinClosed = false;
  /** The signals that end the process; the test handles others. */
  fatalSignals: readonly number[] = [SIGKILL, 15];
  hasEnded = false;
  /** Whether its supervisor has gone and nobody has noticed that yet. */
  isUnreachable = false;
  readonly exited = Promise.withResolvers<ExitRecord>();
  readonly gone = Promise.withResolvers<void>();
  onLogRotated = () => {};
  readonly #startedAtNs = nowNs();
  readonly #clients = new Set<{ socket: Socket; plan: AttachPlan }>();
  #wakeStdin = () => {};

  constructor(
    readonly request: StartRequest | ExecRequest,
    pid: number,
  ) {
    this.pid = pid;
    this.exited.promise.catch(() => {});
  }

  addClient(socket: Socket, plan: AttachPlan): void {
    const client = { socket, plan };
    this.#clients.add(client);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#clients.delete(client));
    socket.on("data", (chunk: Buffer) => {
      if (plan.stdin) this.stdin += chunk.toString("latin1");
      this.#wakeStdin();
    });
    socket.on("end", () => {
      if (plan.stdin && plan.closeStdinOnEnd) this.stdinClosed = true;
      this.#wakeStdin();
    });
  }

  /** Resolves when `isMet` holds after input came on stdin. */
  async untilStdin(isMet: () => boolean): Promise<void> {
    while (!isMet()) await new Promise<void>((resolve) => (this.#wakeStdin = resolve));
  }

  write(stream: "stdout" | "stderr", text: string): void {
    const { stdio } = this.request;
    if ("log" in this.request && this.request.log !== undefined) {
      const entry = { log: text, stream, time: formatRfc3339(nowNs()) };
      appendFileSync(this.request.log.path, `${JSON.stringify(entry)}\n`);
    }
    const payload = Buffer.from(text);
    const header = Buffer.alloc(8);
    header.writeUInt8(stream === "stdout" ? 1 : 2, 0);
    header.writeUInt32BE(payload.length, 4);
    for (const { socket, plan } of this.#clients)
      if (plan[stream]) socket.write(stdio.terminal ? payload : Buffer.concat([header, payload]));
  }

  /** Ends the output: clients have all of it, but the process's end is not announced yet. */
  endOutput(): void {
    for (const { socket } of this.#clients) socket.end();
  }

  exit(exitCode: number, oomKilled = false): void {
    this.hasEnded = true;
    this.endOutput();
    const finishedAtNs = nowNs();
    const record = { exitCode, signal: 0, oomKilled, startedAtNs: this.#startedAtNs, finishedAtNs, notified: "" };
    writeFileSync(join(this.request.runDirectory, "exit"), String(exitCode));
    this.exited.resolve(record);
    this.gone.resolve();
  }

  /** Makes the process disappear as if its supervisor had been killed. */
  lose(): void {
    this.hasEnded = true;
    for (const { socket } of this.#clients) socket.destroy();
    this.exited.reject(new LighterError("unavailable", "the supervisor is gone"));
    this.gone.resolve();
  }
}

export class FakeRuntime implements Runtime {
  /** Processes by id of the container or exec; they stay after their end. */
  readonly processes = new Map<string, FakeProcess>();
  readonly cleaned: string[] = [];
  /** The error with which the next start fails. */
  failure: LighterError | undefined;
  readonly #pairs = new SocketPairs();
  readonly #starts: (() => void)[] = [];
  #nextPid = 1000;

  close(): void {
    this.#pairs.close();
  }

  holdPlace() {
    return { pid: this.#nextPid++, release: () => Promise.resolve() };
  }

  /** Waits for the process of a container or exec. */
  async started(id: string): Promise<FakeProcess> {
    while (!this.processes.has(id)) await new Promise<void>((resolve) => this.#starts.push(resolve));
    return this.process(id);
  }

  process(id: string): FakeProcess {
    const process = this.processes.get(id);
    if (process === undefined) throw new Error(`nothing was started for ${id}`);
    return process;
  }

  async #launch(request: StartRequest | ExecRequest): Promise<Supervised> {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    mkdirSync(request.runDirectory, { recursive: true, mode: 0o700 });
    const process = new FakeProcess(request, this.#nextPid++);
    this.processes.set(request.id, process);
    for (const wake of this.#starts.splice(0)) wake();
    if ("beforePivot" in request) await request.beforePivot?.(process.pid);
    const attached: Socket[] = [];
    for (const plan of request.attach) attached.push(await this.#connect(process, plan));
    return this.#supervised(process, attached);
  }

  /** Adds a process as if an earlier daemon had started it. */
  adopt(request: StartRequest | ExecRequest, pid: number): void {
    this.processes.set(request.id, new FakeProcess(request, pid));
  }

  async #connect(process: FakeProcess, plan: AttachPlan): Promise<Socket> {
    const [ours, theirs] = await this.#pairs.make();
    process.addClient(theirs, plan);
    return ours;
  }

  #supervised(process: FakeProcess, attached: readonly Socket[]): Supervised {
    return {
      pid: process.pid,
      attached,
      exited: process.exited.promise,
      gone: process.gone.promise,
      notified: "",
      onNotified() {},
      onLogRotated(act) {
        process.onLogRotated = act;
      },
      async signal(signal) {
        process.signals.push(signal);
        if (process.fatalSignals.includes(signal)) process.exit(128 + signal);
        return true;
      },
      async resize(rows, columns) {
        process.sizes.push([rows, columns]);
      },
      async reopenLog() {},
      async closeStdin() {
        process.stdinClosed = true;
      },
      attach: (plan) => {
        if (process.isUnreachable) throw Object.assign(new Error("connect ENOENT"), { code: "ENOENT" });
        return this.#connect(process, plan);
      },
      disconnect() {},
      async release() {},
    };
  }

  start(request: StartRequest): Promise<Supervised> {
    return this.#launch(request);
  }

  create(): Promise<Created> {
    throw new Error("the engine does not create without starting");
  }

  exec(request: ExecRequest): Promise<Supervised> {
    return this.#launch(request);
  }

  /** The requests to `connect` and `disconnect`, in order. */
  readonly interfaceChanges: string[] = [];

  /** The promise that a connect waits for. */
  connecting: Promise<void> = Promise.resolve();

  async connect(request: Parameters<Runtime["connect"]>[0]): Promise<void> {
    this.interfaceChanges.push(`connect ${request.interface.name}`);
    await this.connecting;
  }

  async disconnect({ name }: Parameters<Runtime["disconnect"]>[0]): Promise<boolean> {
    this.interfaceChanges.push(`disconnect ${name}`);
    return true;
  }

  async removeLink(): Promise<void> {}

  standIn(): Promise<never> {
    throw new Error("an engine has no stand-in");
  }

  async reconnect(runDirectory: string): Promise<Supervised | ExitRecord | "lost"> {
    const process = [...this.processes.values()].find(({ request }) => request.runDirectory === runDirectory);
    if (process === undefined || !existsSync(runDirectory)) return "lost";
    if (!process.hasEnded) return this.#supervised(process, []);
    return process.exited.promise.catch(() => "lost" as const);
  }

  async removeCgroup(): Promise<void> {}

  async cleanup({ id, runDirectory }: { id: string; runDirectory: string }): Promise<void> {
    this.cleaned.push(id);
    rmSync(runDirectory, { recursive: true, force: true });
  }

  async explain(request: StartRequest): Promise<Listing> {
    return { ops: [], supervise: [`the program of ${request.config.process?.args?.join(" ")}`] };
  }
}
