/**
 * The log of a long-running program, on standard error: one line a message, as text or JSON in the form of Docker's.
 * Whoever logs must not put secrets into it: credentials, environments and request bodies stay out.
 */
import { writeSync } from "node:fs";
import { errnoOf } from "./errors.ts";
import { formatNow } from "./time.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = "text" | "json";
type LogFields = Readonly<Record<string, string | number | boolean>>;

const STDERR = 2;
let threshold = LOG_LEVELS.indexOf("info");
let format: LogFormat = "text";

export function configureLog(options: { level: LogLevel; format: LogFormat }): void {
  threshold = LOG_LEVELS.indexOf(options.level);
  format = options.format;
}

export const log = {
  debug: (message: string, fields?: LogFields) => write("debug", message, fields),
  info: (message: string, fields?: LogFields) => write("info", message, fields),
  warn: (message: string, fields?: LogFields) => write("warn", message, fields),
  error: (message: string, fields?: LogFields) => write("error", message, fields),
};

function write(level: LogLevel, message: string, fields: LogFields = {}): void {
  if (LOG_LEVELS.indexOf(level) < threshold) return;
  const line = formatLine(format, { time: formatNow(), level, message, fields });
  try {
    writeSync(STDERR, line);
  } catch (error) {
    // If nobody can take the log (a full pipe, a full disk), the work that is logged must go on.
    if (!["EAGAIN", "ENOSPC", "EPIPE", "EIO", "EBADF"].includes(errnoOf(error))) throw error;
  }
}

interface Line {
  time: string;
  level: LogLevel;
  message: string;
  fields: LogFields;
}

/** Formats one line, whatever the fields hold: `time="…" level=info msg="…" key=value`, or an object with the same names. */
export function formatLine(format: LogFormat, { time, level, message, fields }: Line): string {
  if (format === "json") return `${JSON.stringify({ ...fields, level, msg: message, time })}\n`;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${quote(String(value))}`);
  return `time=${JSON.stringify(time)} level=${level} msg=${quote(message)}${pairs.join("")}\n`;
}

/** Quotes as logrus does: a text without space, quote or control character stays bare. */
function quote(text: string): string {
  return /^[\w.@/+^:-]+$/.test(text) ? text : JSON.stringify(text);
}
