/** Checks arguments for ps(1) and parses its output. */
import { LighterError } from "../../base/errors.ts";

export interface ProcessTable {
  titles: string[];
  processes: string[][];
}

/**
 * Checks the arguments: a column of another kind must not get the title by which processes are told apart. @throws LighterError
 * "internal" as Docker
 */
export function checkPsArguments(text: string): void {
  for (const [, key, title] of text.matchAll(/\s+(\S*)=\s*(PID\S*)/g))
    if (key !== "pid") throw new LighterError("internal", `specifying "${key}=${title}" is not allowed`);
}

/** Splits a line at ASCII spaces: a name may have other spaces in it. */
function wordsOf(line: string): string[] {
  return line.split(/[\t\n\v\f\r ]+/).filter((word) => word !== "");
}

/**
 * Parses the lines of `pids`; threads, which have "-" in place of a pid, follow their process. @throws LighterError "internal"
 */
export function parsePsOutput(output: string, pids: ReadonlySet<number>): ProcessTable {
  const [first = "", ...lines] = output.split("\n");
  const titles = wordsOf(first);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn === -1) throw new LighterError("internal", "Couldn't find PID field in ps output");
  const processes: string[][] = [];
  let isOurs = false;
  for (const line of lines) {
    if (line === "") continue;
    const words = wordsOf(line);
    const pid = words[pidColumn] ?? "";
    if (pid !== "-") {
      if (!/^\d+$/.test(pid)) throw new LighterError("internal", `Unexpected pid '${pid}': not a number`);
      isOurs = pids.has(Number(pid));
    }
    if (!isOurs) continue;
    // The last column is the command, with spaces.
    const last = titles.length - 1;
    processes.push([...words.slice(0, last), words.slice(last).join(" ")]);
  }
  return { titles, processes };
}
