/** Executes RUN. */
import { shortId } from "../../base/ids.ts";
import type { Vertex } from "../../build/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { attach } from "../process/attach.ts";
import { killForGood } from "../process/control.ts";
import { FrameReader } from "../process/frame-reader.ts";
import { StepFailed } from "./step-failed.ts";

type ExecOp = Extract<Vertex["op"], { kind: "exec" }>;

/** The body of the container that executes the command. */
export function bodyOfRun({ args, env, cwd, user, network }: ExecOp, hostConfig: DockerHostConfig): object {
  const NetworkMode = network === "default" ? (hostConfig.NetworkMode ?? "default") : network;
  const HostConfig = { ...hostConfig, NetworkMode, LogConfig: { Type: "none" } };
  return { Cmd: args, Entrypoint: [], Env: env, WorkingDir: cwd, User: user, HostConfig };
}

interface RunOptions {
  /** Receives what the classic builder says of the container. */
  onNote: (text: string) => void;
  /** Receives what the command prints; the stream is 1 or 2. */
  onOutput: (stream: number, bytes: Buffer) => void;
  signal: AbortSignal;
}

export async function runStep(
  engine: Engine,
  container: Container,
  { args }: ExecOp,
  { onNote, onOutput, signal }: RunOptions,
): Promise<void> {
  const plan = { stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false };
  const pending = await attach(container, container.id, plan, () => {});
  const onAbort = () => void killForGood(engine, container).catch(() => {}); // its removal kills it, too
  onNote(` ---> Running in ${shortId(container.id)}\n`);
  const exited = container.wait("next-exit");
  await engine.start(container);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    const attached = await pending.connection;
    const frames = new FrameReader();
    if (attached !== undefined)
      for await (const chunk of attached.socket)
        for (const { stream, payload } of frames.pieces(chunk)) onOutput(stream, payload);
    const exitCode = await exited;
    signal.throwIfAborted();
    if (exitCode !== 0) throw new StepFailed(exitCode, args.join(" "));
    onNote(` ---> Removed intermediate container ${shortId(container.id)}\n`);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
