/** A shell for the client where a command has failed: in its file system as it was then, with its mounts, environment and user. */
import type { Duplex } from "node:stream";
import { LighterError, messageOf } from "../../base/errors.ts";
import { writable } from "../../base/writable.ts";
import type { ExecOp } from "../../build/mod.ts";
import type { Supervised } from "../../runtime/mod.ts";
import { FrameReader } from "../process/frame-reader.ts";

/** The client's end of it. */
export interface StepTerminal {
  /** What is typed, and what is shown. */
  stream: Duplex;
  /** Lines, "ROWS COLUMNS", for each new size of the client's terminal; undefined if it has none. */
  sizes: AsyncIterable<Uint8Array> | undefined;
}

const DEFAULT_SHELL = "/bin/sh";

/** The shell that the command was written for. */
export function shellOf({ args: [program = "", flag = ""] }: Pick<ExecOp, "args">): string {
  return /^-[a-z]*c$/.test(flag) ? program : DEFAULT_SHELL;
}

/** Connects what `run` starts with the client. That it cannot be started is shown there. */
export async function converse(
  { stream, sizes }: StepTerminal,
  run: (use: (shell: Supervised) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  try {
    await run(async (shell) => {
      const gone = new Promise<never>((_, reject) => {
        stream.once("close", () => reject(new LighterError("unavailable", "the client of the build has gone")));
      });
      gone.catch(() => {}); // it goes when the shell has ended, too
      if (sizes !== undefined) void follow(sizes, shell).catch(() => {}); // it has ended
      const socket = shell.attached[0]!;
      stream.pipe(socket);
      await Promise.race([gone, show(socket, stream)]);
    });
  } catch (error) {
    if (!stream.destroyed) stream.write(`${messageOf(error)}${sizes === undefined ? "" : "\r"}\n`);
  } finally {
    stream.end();
  }
}

async function show(output: AsyncIterable<Buffer>, stream: Duplex): Promise<void> {
  const frames = new FrameReader();
  for await (const chunk of output)
    for (const { payload } of frames.pieces(chunk)) if (!stream.write(new Uint8Array(payload))) await writable(stream);
}

async function follow(sizes: AsyncIterable<Uint8Array>, shell: Supervised): Promise<void> {
  let text = "";
  for await (const chunk of sizes) {
    const lines = `${text}${Buffer.from(chunk).toString("latin1")}`.split("\n");
    text = lines.pop()!;
    const [, rows, columns] = /^(\d{1,5}) (\d{1,5})$/.exec(lines.at(-1) ?? "") ?? [];
    if (rows !== undefined) await shell.resize(Number(rows), Number(columns));
  }
}
