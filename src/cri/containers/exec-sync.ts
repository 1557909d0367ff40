/** ExecSync: runs a command in a container, and answers with what it has written: kubelet's probes and hooks. */
import type { Socket } from "node:net";
import { LighterError } from "../../base/errors.ts";
import { settlesWithin } from "../../base/timer.ts";
import { type Container, type Exec, FrameReader, killTree, PendingAttach, PROBE_OPTIONS } from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";
import { invalid } from "../errors.ts";
import { findContainer } from "../pods.ts";

interface Request {
  containerId: string;
  cmd: readonly string[];
  /** Seconds; 0: as long as it takes. */
  timeout: number;
}

interface Result {
  stdout: Uint8Array;
  stderr: Uint8Array;
  exitCode: number;
}

/** @throws LighterError "timed-out" if it has not ended in time: then it is killed */
export async function execSync(
  { engine }: Cri,
  request: Request,
  { signal }: { signal: AbortSignal },
): Promise<Result> {
  const container = findContainer(engine, request.containerId);
  if (request.cmd.length === 0) throw invalid("the command is empty");
  if (!container.isRunning)
    throw new LighterError("conflict", `container ${JSON.stringify(container.id)} is not running`);
  const exec = engine.execs.create(container, { ...PROBE_OPTIONS, Cmd: request.cmd, ...userOf(container) });
  try {
    const pending = new PendingAttach(exec.attachPlan);
    await engine.execs.start(exec, pending, undefined);
    const socket = (await pending.connection)?.socket;
    const output = new Output();
    const closed = socket === undefined ? Promise.resolve() : output.readFrom(socket);
    await endInTime(exec, request.timeout, signal, closed);
    socket?.destroy();
    return { ...output.parts, exitCode: exec.exitCode ?? 0 };
  } finally {
    engine.execs.forget(exec);
  }
}

/** The size of both streams together: an answer of 16 MiB or more is refused by kubelet. */
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024 - 64 * 1024;

function userOf({ record }: Container): { User?: string } {
  return record.config.User ? { User: record.config.User } : {};
}

/** Resolves when the command has ended, and its output, too, unless somebody else holds that open. */
async function endInTime(exec: Exec, timeoutS: number, signal: AbortSignal, closed: Promise<void>): Promise<void> {
  const timeoutMs = timeoutS > 0 ? timeoutS * 1000 : undefined;
  const ended = exec.end.then(() => closed);
  if ((await settlesWithin(ended, timeoutMs, signal)) || !exec.isRunning) return;
  await killTree(exec);
  await exec.end;
  throw new LighterError(
    "timed-out",
    `failed to exec in container: timeout ${timeoutS}s exceeded: context deadline exceeded`,
  );
}

/** Both streams of a command, each up to a limit; what is beyond is read and forgotten, so that the command goes on. */
class Output {
  readonly #frames = new FrameReader();
  readonly #kept: Readonly<Record<number, Buffer[]>> = { 1: [], 2: [] };
  #roomBytes = OUTPUT_MAX_BYTES;

  /** Resolves when the output has ended, however that comes. */
  async readFrom(socket: Socket): Promise<void> {
    if (socket.destroyed || socket.readableEnded) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    for (const end of ["end", "close"]) socket.once(end, () => resolve());
    socket.on("error", () => {}); // it closes then
    await promise;
  }

  #take(chunk: Buffer): void {
    for (const { stream, payload } of this.#frames.pieces(chunk)) {
      const part = payload.subarray(0, this.#roomBytes);
      this.#roomBytes -= part.length;
      if (part.length > 0) this.#kept[stream]?.push(Buffer.from(part));
    }
  }

  get parts(): Pick<Result, "stdout" | "stderr"> {
    return { stdout: Buffer.concat(this.#kept[1]!), stderr: Buffer.concat(this.#kept[2]!) };
  }
}
