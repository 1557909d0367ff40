/** Executes RUN. */
import { shortId } from "../../base/ids.ts";
import { currentSpan } from "../../base/spans.ts";
import { type ExecOp, type RunSettings, resultsOf, type StepListener } from "../../build/mod.ts";
import type { StepDirectory } from "../../image/mod.ts";
import type { StartRequest, Supervised } from "../../runtime/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { FrameReader } from "../process/frame-reader.ts";
import { type BuildRequest, NO_INPUTS } from "./build-request.ts";
import type { BuildSources } from "./build-sources.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { findStubs, removeStubs } from "./mount-stubs.ts";
import { StepFailed } from "./step-failed.ts";
import { StepMounts } from "./step-mounts.ts";
import type { StepBody, StepRoot, StepRoots } from "./step-roots.ts";
import { converse, shellOf } from "./step-shell.ts";

interface RunStepsOptions {
  roots: StepRoots;
  sources: BuildSources;
  caches: CacheMounts;
  request: Pick<BuildRequest, "hostConfig" | "inputs">;
}

interface RunOptions extends StepListener {
  signal: AbortSignal;
}

interface FailedStep extends Pick<RunOptions, "signal"> {
  root: string;
  directory: StepDirectory;
  mounts: StepMounts;
}

const OUTPUT = { stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false, headers: true };

export class RunSteps {
  readonly #options: RunStepsOptions;

  constructor(options: RunStepsOptions) {
    this.#options = options;
  }

  /** Runs a command over the first input. Resolves with the ids of its results. */
  async run(op: ExecOp, inputs: readonly string[], options: RunOptions): Promise<string[]> {
    const { roots, request } = this.#options;
    const [root = ""] = inputs;
    return await roots.use(root, bodyOf(op, request.hostConfig), async (step, directory) => {
      const layers = roots.images.layersOf(root).lowerDirs;
      const parts = { ...this.#options, inputs: request.inputs ?? NO_INPUTS, signal: options.signal };
      await using mounts = await StepMounts.prepare(op, inputs, parts);
      const stubs = findStubs(
        layers,
        mounts.mounts.map(({ destination }) => destination),
      );
      try {
        await this.#execute(step, op, mounts, options);
      } catch (error) {
        if (error instanceof StepFailed) await this.#lookAround(error, op, { root, directory, mounts, ...options });
        throw error;
      }
      removeStubs(step.paths.upper, layers, stubs);
      return resultsOf(op).map((mount) => (mount === undefined ? roots.commit(root, directory) : mounts.commit(mount)));
    });
  }

  /** Runs a command that a client talks to. What it changes is not kept. Resolves with its exit code. */
  async converse(
    op: ExecOp,
    inputs: readonly string[],
    { hasTerminal, hasStdin, signal }: { hasTerminal: boolean; hasStdin: boolean; signal: AbortSignal },
    use: (process: Supervised, step: StepRoot, config: StartRequest["config"]) => Promise<void>,
  ): Promise<number> {
    const { roots, request } = this.#options;
    const body = { ...bodyOf(op, request.hostConfig), Tty: hasTerminal };
    return await roots.use(inputs[0] ?? "", body, async (step) => {
      const parts = { ...this.#options, inputs: request.inputs ?? NO_INPUTS, signal };
      await using mounts = await StepMounts.prepare(op, inputs, parts);
      let config: StartRequest["config"] | undefined;
      const change = (planned: StartRequest) => {
        const changed = withMounts(planned, mounts);
        config = changed.config;
        return changed;
      };
      const attach = [{ ...OUTPUT, stdin: hasStdin, closeStdinOnEnd: true }];
      return await roots.engine.guests.run({ ...step, attach, hasStdin, hasTerminal, change, signal }, (process) =>
        use(process, step, config!),
      );
    });
  }

  /** Lets the client look around where a command has failed, if it wants to. */
  async #lookAround(failed: StepFailed, op: ExecOp, { root, directory, mounts, signal }: FailedStep): Promise<void> {
    const { roots, request } = this.#options;
    const terminal = await request.inputs?.debug?.(failed);
    if (terminal === undefined) return;
    const hasTerminal = terminal.sizes !== undefined;
    const body = { ...bodyOf({ ...op, args: [shellOf(op)] }, request.hostConfig), Tty: hasTerminal };
    const step = await roots.continue(root, body, directory);
    const attach = [{ ...OUTPUT, stdin: true, closeStdinOnEnd: true }];
    const change = (planned: StartRequest) => withMounts(planned, mounts);
    const guest = { ...step, attach, hasStdin: true, hasTerminal, change, signal };
    await converse(terminal, (use) => roots.engine.guests.run(guest, use));
  }

  async #execute(step: StepRoot, { args }: ExecOp, mounts: StepMounts, options: RunOptions): Promise<void> {
    const { onNote, onOutput, signal } = options;
    const { guests } = this.#options.roots.engine;
    const id = shortId(step.record.id);
    onNote(` ---> Running in ${id}\n`);
    const frames = new FrameReader();
    const change = (request: StartRequest) => withMounts(request, mounts);
    const exitCode = await guests.run({ ...step, attach: [OUTPUT], change, signal }, async ({ attached: [socket] }) => {
      for await (const chunk of socket!)
        for (const { stream, payload } of frames.pieces(chunk)) onOutput(stream, payload);
    });
    if (exitCode !== 0) throw new StepFailed(exitCode, args.join(" "));
    onNote(` ---> Removed intermediate container ${id}\n`);
  }
}

/** The part of the settings that is part of what a command is: caches know commands by it. */
export function runSettings({ ExtraHosts, Ulimits, CgroupParent, ShmSize }: DockerHostConfig): RunSettings {
  return {
    extraHosts: (ExtraHosts ?? []).map((text) => {
      const [, host = text, ip = ""] = /^([^:=]*)[:=](.*)$/s.exec(text) ?? [];
      return { host, ip };
    }),
    ulimits: (Ulimits ?? []).map(({ Name, Soft, Hard }) => ({ name: Name ?? "", soft: Soft ?? 0, hard: Hard ?? 0 })),
    cgroupParent: CgroupParent ?? "",
    shmBytes: ShmSize ?? 0,
  };
}

/** The same as a container's settings. */
function hostSettings({ extraHosts, ulimits, cgroupParent, shmBytes }: RunSettings): DockerHostConfig {
  return {
    ExtraHosts: extraHosts.map(({ host, ip }) => `${host}:${ip}`),
    Ulimits: ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    CgroupParent: cgroupParent,
    ShmSize: shmBytes,
  };
}

/** As with BuildKit: the same for all commands, as they may write it down. */
const HOSTNAME = "buildkitsandbox";

/** The settings of the process that executes the command. */
function bodyOf(op: ExecOp, hostConfig: DockerHostConfig): StepBody {
  const { args, env, proxyEnv, cwd, user, network, security } = op;
  const NetworkMode = network === "default" ? (hostConfig.NetworkMode ?? "default") : network;
  const insecure = security === "insecure" ? { Privileged: true } : {};
  const ReadonlyRootfs = op.hasReadOnlyRoot === true;
  const own = { ...hostSettings(op.settings), NetworkMode, ReadonlyRootfs, LogConfig: { Type: "none" } };
  const HostConfig = { ...hostConfig, ...insecure, ...own };
  const hostname = op.settings.hostname ?? (NetworkMode === "host" ? undefined : HOSTNAME);
  const host = hostname === undefined ? {} : { Hostname: hostname };
  return { Cmd: args, Entrypoint: [], Env: [...proxyEnv, ...env], WorkingDir: cwd, User: user, ...host, HostConfig };
}

function withMounts(request: StartRequest, { mounts, filesystems, env }: StepMounts): StartRequest {
  const { config } = request;
  const process = config.process && {
    ...config.process,
    env: [...(config.process.env ?? []), ...env, ...traceVariables()],
  };
  return {
    ...request,
    config: { ...config, ...(process && { process }), mounts: [...(config.mounts ?? []), ...mounts] },
    filesystems,
  };
}

/**
 * The variables by which a command's own spans become part of the build's trace. They are no part of what the command is: caches do
 * not know of them. Source: moby/buildkit util/tracing/exec.
 */
function traceVariables(): string[] {
  const { traceparent, tracestate } = currentSpan()?.headers ?? {};
  return [
    ...(traceparent === undefined ? [] : [`TRACEPARENT=${traceparent}`]),
    ...(tracestate === undefined ? [] : [`TRACESTATE=${tracestate}`]),
  ];
}
