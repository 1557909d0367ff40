/** Runs front ends that are images: in a container of which nobody sees anything, with their standard streams as a connection. */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { canonicalName, type Vertex } from "../../build/mod.ts";
import { BuildProgress } from "../build/build-progress.ts";
import type { BuildRequest } from "../build/build-request.ts";
import { showPull } from "../build/build-site.ts";
import { StepFailed } from "../build/step-failed.ts";
import { STDERR_STREAM } from "../build/step-output.ts";
import type { StepRoots } from "../build/step-roots.ts";
import { FrameReader } from "../process/frame-reader.ts";

export interface FrontendRequest extends Pick<BuildRequest, "fetchImage" | "signal" | "onStatus"> {
  reference: string;
  /** Variables beside the image's own. */
  env: readonly string[];
}

/** What an image says that runs as a front end. Source: moby/buildkit frontend/gateway/gateway.go. */
const [DEFAULT_PROGRAM, NO_NETWORK_LABEL] = ["/run", "moby.buildkit.frontend.network.none"];
const STDIO = { stdin: true, stdout: true, stderr: true, closeStdinOnEnd: true, headers: true };

/** Runs the front end to its end, and calls `serve` with its streams meanwhile. @throws LighterError; `StepFailed` */
export async function runFrontend(
  roots: StepRoots,
  { reference, env, fetchImage, signal, onStatus }: FrontendRequest,
  serve: (stdio: Duplex) => Promise<void>,
): Promise<void> {
  const { images, engine } = roots;
  const progress = new BuildProgress(onStatus);
  const name = canonicalName(reference);
  const id = await progress.task(`resolve image config for ${name}`, ({ part }) =>
    fetchImage(reference, showPull(part), undefined),
  );
  const image = images.get(id);
  const { Entrypoint = [], Env = [], WorkingDir = "", Labels = {} } = image.document.config;
  const args = Entrypoint.length > 0 ? Entrypoint : [DEFAULT_PROGRAM];
  const NetworkMode = Labels[NO_NETWORK_LABEL] === "true" ? "none" : "default";
  const HostConfig = { NetworkMode, LogConfig: { Type: "none" } };
  const body = { Cmd: args, Entrypoint: [], Env: [...Env, ...env], WorkingDir: WorkingDir || "/", HostConfig };
  const vertex: Vertex = { op: { kind: "image", reference }, inputs: [], name };
  progress.announce(new Map([[vertex, `docker-image://${name}`]]));
  progress.started(vertex);
  try {
    await roots.use(roots.of(image), body, async (step) => {
      const exitCode = await engine.guests.run(
        { ...step, attach: [STDIO], hasStdin: true, signal },
        async ({ attached: [socket] }) =>
          await serve(stdioOf(socket!, (bytes) => progress.output(vertex, STDERR_STREAM, bytes))),
      );
      if (exitCode !== 0) throw new StepFailed(exitCode, args.join(" "));
    });
    progress.ended(vertex, { isCached: false });
  } catch (error) {
    progress.ended(vertex, { error });
    throw error;
  }
}

/** Standard input and output as one connection, which closes with the process. */
function stdioOf(socket: Socket, onStderr: (bytes: Uint8Array) => void): Duplex {
  const frames = new FrameReader();
  const stdio = new Duplex({
    read: () => socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => {
    let isFull = false;
    for (const { stream, payload } of frames.pieces(chunk))
      if (stream === STDERR_STREAM) onStderr(payload);
      else isFull = !stdio.push(new Uint8Array(payload)) || isFull;
    if (isFull) socket.pause();
  });
  socket.on("error", () => stdio.destroy()); // it has ended
  socket.once("end", () => stdio.destroy());
  socket.once("close", () => stdio.destroy());
  stdio.on("error", () => stdio.destroy()); // a write to a process that has gone
  return stdio;
}
