/** Executes RUN. */
import { LighterError } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import type { Vertex } from "../../build/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { attach } from "../process/attach.ts";
import { killForGood } from "../process/control.ts";
import { FrameReader } from "../process/frame-reader.ts";

type ExecOp = Extract<Vertex["op"], { kind: "exec" }>;

/** The failure of a command in the Dockerfile. */
export class StepFailed extends LighterError {
  constructor(
    readonly exitCode: number,
    command: string,
  ) {
    super("invalid", `The command '${command}' returned a non-zero code: ${exitCode}`);
  }
}

/** The body of the container that executes the command. */
export function bodyOfRun({ args, env, cwd, user, network }: ExecOp, hostConfig: DockerHostConfig): object {
  const NetworkMode = network === "default" ? (hostConfig.NetworkMode ?? "default") : network;
  const HostConfig = { ...hostConfig, NetworkMode, LogConfig: { Type: "none" } };
  return { Cmd: args, Entrypoint: [], Env: env, WorkingDir: cwd, User: user, HostConfig };
}

interface RunOptions {
  onOutput: (text: string) => void;
  signal: AbortSignal;
}

export async function runStep(
  engine: Engine,
  container: Container,
  { args }: ExecOp,
  { onOutput, signal }: RunOptions,
): Promise<void> {
  const plan = { stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false };
  const pending = await attach(container, container.id, plan, () => {});
  const onAbort = () => void killForGood(engine, container).catch(() => {}); // its removal kills it, too
  onOutput(` ---> Running in ${shortId(container.id)}\n`);
  const exited = container.wait("next-exit");
  await engine.start(container);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    const attached = await pending.connection;
    if (attached !== undefined) for await (const text of textsOf(attached.socket)) onOutput(text);
    const exitCode = await exited;
    signal.throwIfAborted();
    if (exitCode !== 0) throw new StepFailed(exitCode, args.join(" "));
    onOutput(` ---> Removed intermediate container ${shortId(container.id)}\n`);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** What is in the frames of a multiplexed stream, both of its streams. */
async function* textsOf(socket: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const frames = new FrameReader();
  for await (const chunk of socket) {
    const text = decoder.decode(frames.push(chunk), { stream: true });
    if (text !== "") yield text;
  }
}
