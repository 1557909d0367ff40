/**
 * Messages in logrus's form: callers of an OCI runtime read the log's last line with `"level":"error"`. Without a log file
 * messages go to stderr. With one, errors also go to stderr, as plain text.
 */
import { openSync } from "node:fs";
import { errnoOf, LighterError } from "../base/errors.ts";
import { writeAll } from "./output.ts";

export type Level = "debug" | "info" | "warning" | "error";
export type LogFormat = "text" | "json";

export class Log {
  constructor(
    private readonly format: LogFormat,
    private readonly debugging: boolean,
    /** The log file's descriptor, opened for appending. */
    private readonly fd?: number,
  ) {}

  debug(message: string): void {
    if (this.debugging) this.#write("debug", message);
  }

  warn(message: string): void {
    this.#write("warning", message);
  }

  error(message: string): void {
    this.#write("error", message);
    if (this.fd !== undefined) writeQuietly(2, `${message}\n`);
  }

  #write(level: Level, message: string): void {
    writeQuietly(this.fd ?? 2, formatLine(this.format, level, message, new Date()));
  }
}

/** Opens the log. @throws LighterError ("invalid") for an unknown format, or a file that cannot be opened. */
export function openLog(path: string | undefined, format: string, debugging: boolean): Log {
  if (format !== "text" && format !== "json") throw new LighterError("invalid", `invalid log-format: ${format}`);
  if (path === undefined || path === "" || path === "/dev/stderr") return new Log(format, debugging);
  try {
    return new Log(format, debugging, openSync(path, "a", 0o644));
  } catch (cause) {
    throw new LighterError("invalid", `open log file "${path}": ${errnoOf(cause)}`, { cause });
  }
}

/** A line of the log, with its line end. */
export function formatLine(format: LogFormat, level: Level, message: string, at: Date): string {
  const time = `${at.toISOString().slice(0, 19)}Z`;
  if (format === "json") return `${JSON.stringify({ level, msg: message, time })}\n`;
  return `time="${time}" level=${level} msg=${/^[\w./@^+-]+$/.test(message) ? message : JSON.stringify(message)}\n`;
}

/**
 * Writes text. A message that cannot be written (the reader of stderr has gone, the disk is full) changes no command's outcome.
 */
function writeQuietly(fd: number, text: string): void {
  try {
    writeAll(fd, text);
  } catch {
    // nobody is left who could be told
  }
}
