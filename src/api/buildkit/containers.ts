/** The gateway's containers: clients start processes in what a build has made, `buildx debug` among them. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { SIGNALS } from "../../base/signals.ts";
import { type BuildContainer, FrameReader } from "../../engine/mod.ts";
import { Outbox } from "../../grpc/outbox.ts";
import { type Call, type Method, type Methods, unary } from "../../grpc/server.ts";
import { UNKNOWN } from "../../grpc/status.ts";
import {
  type ExecDraft,
  type ExecMessage,
  emptyType,
  execMessageType,
  newContainerType,
  releaseContainerType,
} from "../../spec/buildkit.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { BRIDGE } from "./capabilities.ts";
import { fetcherFor } from "./frontend.ts";
import type { Job } from "./jobs.ts";
import { inputsOf } from "./session-inputs.ts";

type FindJob = (call: Call) => Job;
type Process = Parameters<Parameters<BuildContainer["run"]>[1]>[0];

const [STDIN, STDOUT, STDERR] = [0, 1, 2];

export function containerMethods(daemon: Daemon, find: FindJob): Methods {
  return new Map([
    [
      `${BRIDGE}NewContainer`,
      unary({ request: newContainerType, answer: emptyType }, async (request, call) => {
        const job = find(call);
        const { signal } = job;
        const { sessionId } = await job.request.promise;
        const session = await daemon.buildkit.sessions.find(sessionId, AbortSignal.any([signal, call.signal]));
        const { containerId, mounts, network, extraHosts, hostname } = request;
        const container = daemon.builder.openContainer({
          ...{ mounts, network, extraHosts, hostname, signal, hostConfig: {}, say: () => {}, onStatus: () => {} },
          rootOf: (ref) => job.result(ref).root,
          fetchImage: fetcherFor(daemon, session, { isPull: false, signal }),
          inputs: inputsOf(session, signal),
        });
        job.addContainer(containerId, container);
        return {};
      }),
    ],
    [
      `${BRIDGE}ReleaseContainer`,
      unary({ request: releaseContainerType, answer: emptyType }, async ({ containerId }, call) => {
        await find(call).releaseContainer(containerId);
        return {};
      }),
    ],
    [`${BRIDGE}ExecProcess`, execProcess(find)],
  ]);
}

/** One stream carries any number of processes, which end with it. */
function execProcess(find: FindJob): Method {
  return async function* (requests, call) {
    const job = find(call);
    const outbox = new Outbox();
    const conversations = new Map<string, Conversation>();
    const hear = async () => {
      for await (const bytes of requests) {
        const message = execMessageType.decode(bytes);
        const { processId, init } = message;
        const known = conversations.get(processId);
        if (init === undefined) known?.hear(message);
        else if (known !== undefined)
          throw new LighterError("conflict", `the process ${processId} has been started already`);
        else conversations.set(processId, new Conversation(processId, job.container(init.containerId), init, outbox));
      }
    };
    const heard = hear().then(
      async () => {
        await Promise.all([...conversations.values()].map(({ ended }) => ended));
        outbox.close();
      },
      (error) => outbox.fail(error),
    );
    try {
      yield* outbox;
    } finally {
      for (const conversation of conversations.values()) conversation.kill();
      void heard;
    }
  };
}

type Init = NonNullable<ExecMessage["init"]>;

/** What is said of one process, in both directions. */
class Conversation {
  readonly ended: Promise<void>;
  readonly #id: string;
  readonly #outbox: Outbox;
  readonly #process = Promise.withResolvers<Process>();
  /** What the client says comes in its order, and not before the process is there. */
  #said: Promise<unknown> = this.#process.promise;
  #isKilled = false;

  constructor(id: string, container: BuildContainer, init: Init, outbox: Outbox) {
    this.#id = id;
    this.#outbox = outbox;
    this.#process.promise.catch(() => {}); // the client hears of it
    this.ended = this.#run(container, init);
  }

  hear({ file, resize, signal }: ExecMessage): void {
    this.#said = this.#said
      .then(async () => {
        const process = await this.#process.promise;
        if (file !== undefined && file.data.length > 0) process.attached[0]?.write(new Uint8Array(file.data));
        if (file?.isEnd === true && file.fd === STDIN) process.attached[0]?.end();
        if (resize !== undefined) await process.resize(resize.rows, resize.columns);
        if (signal !== undefined) await process.signal(numberOf(signal.name));
      })
      .catch(() => {}); // it has ended, or there is no such signal
  }

  kill(): void {
    this.#isKilled = true;
    this.#process.promise.then((process) => process.signal(SIGNALS.KILL!)).catch(() => {}); // it has ended
  }

  async #run(container: BuildContainer, { meta, fds, hasTerminal }: Init): Promise<void> {
    const { args = [], env = [], cwd = "", user = "" } = meta ?? {};
    try {
      if (args.length === 0) throw new LighterError("invalid", "a process has no arguments");
      const request = { args, env, cwd: cwd || "/", user, hasTerminal, hasStdin: fds.includes(STDIN) };
      const exitCode = await container.run(request, (process) => this.#pass(process, fds));
      this.#exit(exitCode, exitCode === 0 ? undefined : `exit code: ${exitCode}`);
    } catch (error) {
      this.#process.reject(error);
      this.#exit(UNKNOWN_EXIT_CODE, messageOf(error));
    }
    this.#send({ done: {} });
  }

  /** Passes on what it prints. */
  async #pass(process: Process, fds: readonly number[]): Promise<void> {
    this.#send({ started: {} });
    this.#process.resolve(process);
    if (this.#isKilled) this.kill();
    const frames = new FrameReader();
    for await (const chunk of process.attached[0]!)
      for (const { stream, payload } of frames.pieces(chunk)) {
        const fd = stream === STDERR ? STDERR : STDOUT;
        if (fds.includes(fd)) this.#send({ file: { fd, data: new Uint8Array(payload) } });
        await this.#outbox.taken();
      }
    for (const fd of fds) if (fd !== STDIN) this.#send({ file: { fd, isEnd: true } });
  }

  #exit(code: number, message: string | undefined): void {
    const error = message === undefined ? undefined : { code: UNKNOWN, message };
    this.#send({ exit: { code, error } });
  }

  #send(message: ExecDraft): void {
    this.#outbox.send(execMessageType.encode({ processId: this.#id, ...message }));
  }
}

/** What BuildKit says of a process whose end nobody knows. Source: moby/buildkit frontend/gateway/errdefs (UnknownExitStatus). */
const UNKNOWN_EXIT_CODE = 255;

/** "SIGTERM" or "TERM" or a number. @throws LighterError "invalid" */
function numberOf(name: string): number {
  const number = SIGNALS[name.toUpperCase().replace(/^SIG/, "")] ?? Number(name);
  if (!Number.isInteger(number) || number < 1 || number > 64)
    throw new LighterError("invalid", `no such signal: ${name}`);
  return number;
}
