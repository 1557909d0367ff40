/** Writes archives to a file or to stdout. */
import { closeSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { CliError } from "../exit.ts";
import type { Response } from "../http/http.ts";
import { cleanUpOnSignal } from "../streams/signals.ts";
import { copyPlain } from "../streams/stream.ts";
import { errnoText } from "../values/env-file.ts";

/**
 * Copies the answer of `request` to the file `path`, or to stdout if `path` is "". The file appears only once it is
 * complete. `failure` introduces errors: "failed to save image".
 * @throws CliError before the request is sent, if the output cannot take it
 */
export async function downloadTo(path: string, request: () => Promise<Response>, failure: string): Promise<void> {
  if (path === "") {
    if ((await import("../../linux/sys/tty.ts")).isTerminal(1))
      throw new CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    return copyPlain(await request());
  }
  const problem = outputProblem(path);
  if (problem !== undefined) throw new CliError(`${failure}: invalid output path: ${problem}`);
  await writeWhole(path, await request());
}

/** Returns what is wrong with an output path, or undefined. */
function outputProblem(path: string): string | undefined {
  const folder = dirname(path);
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return `directory ${goQuote(folder)} does not exist`;
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined || status.isDirectory() || status.isFile()) return undefined;
  const kind = status.isCharacterDevice() || status.isBlockDevice() ? "a device" : "an irregular file";
  return `${goQuote(path)} must be a directory or a regular file: got ${kind}`;
}

async function writeWhole(path: string, response: Response): Promise<void> {
  const temporaryPath = join(dirname(path), `.lighter_temp_${crypto.randomUUID()}`);
  const remove = () => rmSync(temporaryPath, { force: true });
  let fd: number | undefined;
  const stopWatching = cleanUpOnSignal(remove);
  try {
    fd = openSync(temporaryPath, "wx", 0o600);
    for (let piece = await response.read(); piece !== undefined; piece = await response.read())
      for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done);
    closeSync(fd);
    fd = undefined;
    renameSync(temporaryPath, path);
  } catch (error) {
    response.connection.close();
    if (fd !== undefined) closeSync(fd);
    remove();
    if (errnoOf(error) === "") throw error;
    throw new CliError(`write ${path}: ${errnoText(error)}`);
  } finally {
    stopWatching();
  }
}
