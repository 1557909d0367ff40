/**
 * The errors that end a command. Only this file knows the exit codes of the command line (with the table in
 * `runExitCode`).
 */

import { messageOf } from "../base/errors.ts";

/** Ends the command: `message` is printed on stderr unchanged, `exitCode` goes to the shell. */
export class CliError extends Error {
  override readonly name = "CliError";
  constructor(
    message: string,
    readonly exitCode = 1,
  ) {
    super(message);
  }
}

/** Error status that the daemon answered with. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Nothing answers at the daemon's address. */
export class DaemonUnreachable extends Error {
  override readonly name = "DaemonUnreachable";
}

/** Exit code of `run`, `create` and flag errors when the container never ran. */
export const EXIT_NOT_RUN = 125;

/**
 * Returns the exit code of `run` when creating or starting failed, judged by the error's text as the stock client does:
 * 127 if the entrypoint does not exist, 126 if it cannot be executed, else 125.
 */
export function runExitCode(error: unknown): number {
  if (!(error instanceof ApiError)) return EXIT_NOT_RUN;
  const text = error.message;
  if (text.includes("executable file not found") || text.includes("no such file or directory")) return 127;
  if (text.includes("permission denied") || text.includes("is a directory")) return 126;
  return EXIT_NOT_RUN;
}

/** Formats `lighter: TEXT.`, with a pointer to the command's help unless the daemon refused a start. */
export function runErrorText(command: string, error: unknown, withHelp: boolean): string {
  const sentence = `lighter: ${messageOf(error).replace(/\.$/, "")}.`;
  return withHelp ? `${sentence}\n${seeHelp(command)}` : sentence;
}

/** Formats the pointer to a command's help; `command` is "" for the program itself. */
export function seeHelp(command: string): string {
  return `See 'lighter ${command === "" ? "" : `${command} `}--help'.`;
}
