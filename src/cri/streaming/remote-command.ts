/** Connects a client with a process: what Exec and Attach have promised. */
import type { Duplex } from "node:stream";
import { messageOf } from "../../base/errors.ts";
import { writable } from "../../base/writable.ts";
import { FrameReader } from "../../engine/mod.ts";
import type { Channels, Wanted } from "./channels.ts";

/** A process with its streams. */
export interface RemoteProcess {
  /** Takes stdin as it is; output is framed, or as it is with a terminal. */
  socket: Duplex;
  /** Resolves with the exit code; undefined if nobody asks for it. */
  exitCode: Promise<number | undefined>;
  resize(rows: number, columns: number): Promise<void>;
}

/** Carries all streams until the process has ended, or the client has gone; then tells how it has ended. */
export async function serveCommand(
  channels: Channels,
  wanted: Wanted,
  open: () => Promise<RemoteProcess>,
): Promise<void> {
  let status: object;
  try {
    const running = await open();
    carryInput(channels, running);
    await carryOutput(channels, running, wanted.tty);
    status = statusOf(await running.exitCode);
  } catch (error) {
    status = { metadata: {}, status: "Failure", message: messageOf(error), reason: "InternalError", code: 500 };
  }
  for (const name of ["stdout", "stderr"] as const) await ended(channels.get(name));
  channels.get("error")?.write(JSON.stringify(status));
  await ended(channels.get("error"));
  await channels.close();
}

function carryInput(channels: Channels, { socket, resize }: RemoteProcess): void {
  const stdin = channels.get("stdin");
  stdin?.on("data", async (chunk: Uint8Array) => {
    if (socket.write(chunk)) return;
    stdin.pause();
    await writable(socket);
    stdin.resume();
  });
  stdin?.once("end", () => socket.end());
  stdin?.resume();
  // A client that is gone gets no more, also one that has gone while the process was started.
  const sign = channels.get("error");
  sign?.once("close", () => socket.destroy());
  if (sign?.destroyed) socket.destroy();
  let text = "";
  const sizes = channels.get("resize");
  sizes?.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString("utf8")).slice(-SIZE_MAX_CHARS);
    for (let end = text.indexOf("}"); end >= 0; end = text.indexOf("}")) {
      const size = parseSize(text.slice(0, end + 1));
      text = text.slice(end + 1);
      if (size !== undefined) void resize(size.rows, size.columns).catch(() => {}); // it has just ended
    }
  });
  sizes?.resume();
}

/** The most that is kept of a size that has not come whole. */
const SIZE_MAX_CHARS = 1000;

function parseSize(text: string): { rows: number; columns: number } | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    return typeof Width === "number" && typeof Height === "number" ? { rows: Height, columns: Width } : undefined;
  } catch {
    return undefined; // the next one may be better
  }
}

async function carryOutput(channels: Channels, { socket }: RemoteProcess, tty: boolean): Promise<void> {
  const frames = new FrameReader();
  try {
    for await (const chunk of socket) {
      const pieces = tty ? [{ stream: 1, payload: chunk as Buffer }] : frames.pieces(chunk as Buffer);
      for (const { stream, payload } of pieces) {
        const to = channels.get(stream === 2 ? "stderr" : "stdout");
        if (to !== undefined && !to.destroyed && !to.write(payload)) await writable(to);
      }
    }
  } catch (error) {
    if (!socket.destroyed) throw error; // else the client has gone
  }
}

function ended(stream: Duplex | undefined): Promise<void> {
  if (stream === undefined || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once("close", resolve);
    stream.end(() => resolve());
  });
}

/** What Kubernetes calls a Status. Source: k8s.io/apimachinery pkg/apis/meta/v1, k8s.io/apimachinery remotecommand. */
function statusOf(exitCode: number | undefined): object {
  if (exitCode === undefined || exitCode === 0) return { metadata: {}, status: "Success" };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: exit code ${exitCode}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitCode) }] },
  };
}
