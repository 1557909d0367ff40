/** How a command ends badly. The only file that knows the CLI's exit codes (with the table in `runExitCode`). */

import { messageOf } from "../base/errors.ts";

/** Ends the command: `message` goes to stderr as it is, `exitCode` to the shell. */
export class CliError extends Error {
  override readonly name = "CliError";
  constructor(
    message: string,
    readonly exitCode = 1,
  ) {
    super(message);
  }
}

/** The daemon answered with an error status. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Nothing answers at the host. */
export class DaemonUnreachable extends Error {
  override readonly name = "DaemonUnreachable";
}

/** `run`, `create` and flag errors: the container never ran. */
export const EXIT_NOT_RUN = 125;

/**
 * Exit code of `run` when creating or starting failed, by what the text says, as the stock client decides it:
 * 127 for an entrypoint that is not there, 126 for one that cannot be executed, else 125.
 */
export function runExitCode(error: unknown): number {
  if (!(error instanceof ApiError)) return EXIT_NOT_RUN;
  const text = error.message;
  if (text.includes("executable file not found") || text.includes("no such file or directory")) return 127;
  if (text.includes("permission denied") || text.includes("is a directory")) return 126;
  return EXIT_NOT_RUN;
}

/** `lighter: TEXT.`, with the pointer to the help of `command` unless the daemon refused a start. */
export function runErrorText(command: string, error: unknown, withHelp: boolean): string {
  const sentence = `lighter: ${messageOf(error).replace(/\.$/, "")}.`;
  return withHelp ? `${sentence}\n${seeHelp(command)}` : sentence;
}

/** `command` is "" for the program itself. */
export function seeHelp(command: string): string {
  return `See 'lighter ${command === "" ? "" : `${command} `}--help'.`;
}
