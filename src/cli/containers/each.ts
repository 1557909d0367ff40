/** Runs a command's work for each name on the command line, several at a time. */
import { messageOf } from "../../base/errors.ts";
import { CliError } from "../exit.ts";
import { printLine } from "../output.ts";

/** Number of simultaneous requests when a command names many containers. */
export const PARALLEL = 50;

/**
 * Does `work` for every name, several at a time, and prints the names that succeeded, if `shown`, in the order given.
 * @throws CliError with all failures, a line each, after everything was tried
 */
export async function forEachName(
  names: readonly string[],
  work: (name: string) => Promise<unknown>,
  shown: (name: string) => boolean = () => true,
): Promise<void> {
  const failures: string[] = [];
  for (let from = 0; from < names.length; from += PARALLEL) {
    const batch = names.slice(from, from + PARALLEL);
    const results = await Promise.allSettled(batch.map(work));
    for (const [index, result] of results.entries()) {
      const name = batch[index] ?? "";
      if (result.status === "rejected") failures.push(messageOf(result.reason));
      else if (shown(name)) await printLine(name);
    }
  }
  if (failures.length > 0) throw new CliError(failures.join("\n"));
}
