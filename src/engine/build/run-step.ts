/** Executes RUN. */
import { shortId } from "../../base/ids.ts";
import type { Vertex } from "../../build/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { Engine } from "../engine.ts";
import { FrameReader } from "../process/frame-reader.ts";
import { StepFailed } from "./step-failed.ts";
import type { StepBody, StepRoot } from "./step-roots.ts";

type ExecOp = Extract<Vertex["op"], { kind: "exec" }>;

/** The settings of the process that executes the command. */
export function bodyOfRun({ args, env, cwd, user, network }: ExecOp, hostConfig: DockerHostConfig): StepBody {
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

const OUTPUT = { stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false, headers: true };

export async function runStep(
  { guests }: Engine,
  step: StepRoot,
  { args }: ExecOp,
  { onNote, onOutput, signal }: RunOptions,
): Promise<void> {
  const id = shortId(step.record.id);
  onNote(` ---> Running in ${id}\n`);
  const frames = new FrameReader();
  const exitCode = await guests.run({ ...step, attach: [OUTPUT], signal }, async ({ attached: [socket] }) => {
    for await (const chunk of socket!)
      for (const { stream, payload } of frames.pieces(chunk)) onOutput(stream, payload);
  });
  if (exitCode !== 0) throw new StepFailed(exitCode, args.join(" "));
  onNote(` ---> Removed intermediate container ${id}\n`);
}
