/**
 * A container for a client of a build to look around in: its root file system and mounts are results. The first process is its init;
 * others are executed beside it, and end with it. Nothing of what they change is kept.
 */
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import type { ExecOp } from "../../build/mod.ts";
import type { StartRequest, Supervised } from "../../runtime/mod.ts";
import type { BuildSite } from "../build/build-site.ts";
import type { StepRoot } from "../build/step-roots.ts";
import type { Engine } from "../engine.ts";

interface ContainerOptions {
  engine: Engine;
  site: BuildSite;
  /** The first process, but for what each says itself. */
  op: ExecOp;
  /** The ids of its root file system and of what is mounted. */
  inputs: readonly string[];
  signal: AbortSignal;
}

interface ProcessRequest extends Pick<ExecOp, "args" | "env" | "cwd" | "user"> {
  hasTerminal: boolean;
  hasStdin: boolean;
}

interface Init {
  supervised: Supervised;
  step: StepRoot;
  config: StartRequest["config"];
}

export class BuildContainer implements AsyncDisposable {
  readonly #options: ContainerOptions;
  readonly #release = new AbortController();
  /** Set when the first process is asked for; resolves when it runs. */
  #init: PromiseWithResolvers<Init> | undefined;
  #hasEnded = false;
  #processCount = 0;

  constructor(options: ContainerOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release.abort(new LighterError("conflict", "the container has been released"));
    await this.#options.site[Symbol.asyncDispose]();
  }

  /** Runs a process, and calls `use` with it. Resolves with its exit code. @throws LighterError like a start, and what `use` throws */
  async run(request: ProcessRequest, use: (process: Supervised) => Promise<void>): Promise<number> {
    if (this.#init !== undefined) return await this.#execute(await this.#init.promise, request, use);
    const init = Promise.withResolvers<Init>();
    init.promise.catch(() => {}); // who executes something beside it hears of it
    this.#init = init;
    try {
      return await this.#start(request, async (started) => {
        init.resolve(started);
        await use(started.supervised);
      });
    } catch (error) {
      init.reject(error);
      throw error;
    } finally {
      this.#hasEnded = true;
    }
  }

  async #start(request: ProcessRequest, use: (init: Init) => Promise<void>): Promise<number> {
    const { site, op, inputs, signal } = this.#options;
    const { hasTerminal, hasStdin, ...own } = request;
    const streams = { hasTerminal, hasStdin, signal: AbortSignal.any([signal, this.#release.signal]) };
    return await site.runs.converse({ ...op, ...own }, inputs, streams, (supervised, step, config) =>
      use({ supervised, step, config }),
    );
  }

  async #execute(
    { supervised: init, step, config }: Init,
    { args, env, cwd, user, hasTerminal, hasStdin }: ProcessRequest,
    use: (process: Supervised) => Promise<void>,
  ): Promise<number> {
    if (this.#hasEnded) throw new LighterError("conflict", "the container's first process has ended");
    const { planner, runtime } = this.#options.engine;
    const { record, paths } = step;
    const options = { Cmd: args, Env: env, WorkingDir: cwd, User: user, Tty: hasTerminal };
    const process = await runtime.exec({
      ...{ id: randomId(), containerPid: init.pid, config },
      process: planner.planExec(record, paths, config, options),
      runDirectory: join(paths.runDirectory, `e${this.#processCount++}`),
      stdio: { terminal: hasTerminal, stdin: hasStdin },
      attach: [{ stdin: hasStdin, stdout: true, stderr: true, closeStdinOnEnd: true, headers: true }],
    });
    try {
      await use(process);
      return (await process.exited).exitCode;
    } finally {
      await process.gone;
    }
  }
}
