/** Passes bytes through a program of the host. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { PROGRAMS_PATH } from "./run-program.ts";

const SHOWN_BYTES = 1000;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * Yields what the program writes when it reads `source`. Ending early ends the program.
 * @throws LighterError ("unavailable") without the program; ("invalid") with what it said if it fails; what `source` throws
 */
export async function* filterThrough(
  name: string,
  args: readonly string[],
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const child = spawn(name, args, {
    env: { PATH: PROGRAMS_PATH, LC_ALL: "C" },
    cwd: "/",
    stdio: ["pipe", "pipe", "pipe"],
  });
  const closed = endOf(child, name);
  closed.catch(() => {}); // it is awaited at the end
  let failure: { error: unknown } | undefined;
  const feeding = feed(child.stdin, source).catch((error: unknown) => {
    failure = { error };
    child.kill("SIGKILL");
  });
  let isWhole = false;
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    isWhole = true;
  } finally {
    if (!isWhole) child.kill("SIGKILL");
    child.stdin.destroy();
  }
  await feeding;
  if (failure !== undefined) throw (failure as { error: unknown }).error;
  await closed;
}

/** A program that reads no more, because it has ended or failed, is no failure here: its exit code tells. */
async function feed(stdin: Writable, source: AsyncIterable<Uint8Array>): Promise<void> {
  stdin.on("error", () => {});
  for await (const chunk of source) {
    if (stdin.destroyed) return;
    // A chunk is valid until the next one is asked for.
    if (!stdin.write(new Uint8Array(chunk))) await Promise.race([once(stdin, "drain"), once(stdin, "close")]);
  }
  stdin.end();
}

async function endOf(child: Child, name: string): Promise<void> {
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    if (said.length < SHOWN_BYTES) said += chunk.toString("utf8");
  });
  const { code, error } = await new Promise<{ code: number | null; error?: unknown }>((resolve) => {
    child.once("error", (error) => resolve({ code: null, error }));
    child.once("close", (code) => resolve({ code }));
  });
  if (code === 0) return;
  if (error !== undefined && errnoOf(error) === "ENOENT")
    throw new LighterError("unavailable", `the program ${name} is not installed`);
  const why = error === undefined ? said.trim().slice(0, SHOWN_BYTES) || "it failed" : messageOf(error);
  throw new LighterError("invalid", `${name}: ${why}`);
}
