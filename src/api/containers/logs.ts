/** Serves a container's logs. */
import type { ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { formatRfc3339Fixed, parseRfc3339, parseUnixTime } from "../../base/time.ts";
import { writable } from "../../base/writable.ts";
import { type Container, type LogEntry, type LogQuery, logAttributesOf, readLogs } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { COMMON_HEADERS, MULTIPLEXED_STREAM, RAW_STREAM } from "../http/protocol.ts";
import type { Query } from "../http/query.ts";
import type { AnswerCall } from "../http/router.ts";
import { encodeFrame } from "../streams/frames.ts";
import { closedSignal } from "./containers.ts";

export interface LogFormat {
  stdout: boolean;
  stderr: boolean;
  timestamps: boolean;
  /** Whether the output is a terminal's, which is sent without frames. */
  tty: boolean;
  /** The text that log options add to each line; "" for nothing. */
  details?: string;
}

/** GET /containers/{id}/logs */
export async function logs(call: AnswerCall): Promise<void> {
  const { daemon, query, response } = call;
  const container = daemon.engine.find(call.parameter("id"));
  const format = {
    stdout: query.boolean("stdout"),
    stderr: query.boolean("stderr"),
    timestamps: query.boolean("timestamps"),
    tty: container.record.config.Tty ?? false,
    ...(query.boolean("details") ? { details: describeDetails(container) } : {}),
  };
  if (!format.stdout && !format.stderr)
    throw new LighterError("invalid", "Bad parameters: you must choose at least one stream");
  const range = parseRange(query);
  const follows = query.boolean("follow") && container.isRunning;
  const damages: string[] = [];
  const logQuery: LogQuery = {
    ...range,
    signal: closedSignal(call),
    onDamage: ({ message }) => damages.push(message),
    ...(follows ? { followUntil: container.wait("not-running") } : {}),
  };
  const path = logPath(daemon, container);
  const type = format.tty || call.apiMinor < 42 ? RAW_STREAM : MULTIPLEXED_STREAM;
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": type });
  response.flushHeaders();
  await writeLogs(response, path, logQuery, format);
  // Damage is reported last, because clients stop at the first such message.
  for (const message of damages) response.write(encodeDamage(message, format));
  response.end();
}

/** The details of a line, "a=b,c=d", sorted, with each part encoded as in a URL's query. */
function describeDetails({ record }: Container): string {
  const container = { ...record, imageName: record.image };
  const attributes = logAttributesOf(container, record.hostConfig.LogConfig?.Config ?? {});
  const encode = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);
  return Object.entries(attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join(",");
}

/** The path of the container's log. @throws LighterError "not-supported" if it has none */
export function logPath({ engine }: Daemon, { record }: Container): string {
  if (record.pod?.logPath !== undefined) return record.pod.logPath;
  if (record.hostConfig.LogConfig?.Type === "none")
    throw new LighterError("not-supported", "configured logging driver does not support reading");
  return engine.paths.container(record.id).log;
}

function parseRange(query: Query): Pick<LogQuery, "sinceNs" | "untilNs" | "tail"> {
  const time = (name: string) => {
    const text = query.text(name);
    if (text === undefined || text === "0") return undefined;
    const ns = parseUnixTime(text) ?? parseRfc3339(text);
    if (ns === undefined) throw new LighterError("invalid", `Bad parameter: ${name}: "${text}" is not a time`);
    return ns;
  };
  const [sinceNs, untilNs] = [time("since"), time("until")];
  return {
    ...(sinceNs === undefined ? {} : { sinceNs }),
    ...(untilNs === undefined ? {} : { untilNs }),
    tail: parseTail(query),
  };
}

/** The number of the last lines that are wanted. Anything that is no number means all, as with Docker. */
export function parseTail(query: Query): number {
  const tail = query.text("tail") ?? "all";
  return /^\d{1,15}$/.test(tail) ? Number(tail) : Number.POSITIVE_INFINITY;
}

/** Sends the log so far, or its last lines, for an attach that asks for it. */
export async function replayLogs(
  output: Writable,
  daemon: Daemon,
  container: Container,
  format: LogFormat,
  tail: number,
): Promise<void> {
  const { signal } = new AbortController();
  const onDamage = (error: Error) => log.warn(`logs of container ${container.id}: ${error.message}`);
  await writeLogs(output, logPath(daemon, container), { tail, signal, onDamage }, format);
}

/** Writes the log's entries at the reader's pace. */
async function writeLogs(output: Writable | ServerResponse, path: string, query: LogQuery, format: LogFormat) {
  for await (const entries of readLogs(path, query)) {
    const chunk = encodeEntries(entries, format);
    if (chunk.length > 0 && !output.write(chunk)) await writable(output);
    if (output.destroyed) return;
  }
}

function encodeDamage(message: string, { tty }: LogFormat): Buffer | string {
  const text = `Error grabbing logs: ${message}\n`;
  return tty ? text : encodeFrame("error", text);
}

function encodeEntries(entries: readonly LogEntry[], format: LogFormat): Buffer {
  const wanted = entries.filter(({ stream }) => format[stream]);
  const details = format.details === undefined ? "" : `${format.details} `;
  const texts = wanted.map(({ time, log }) => `${format.timestamps ? `${fixedTime(time)} ` : ""}${details}${log}`);
  if (format.tty) return Buffer.from(texts.join(""));
  return Buffer.concat(texts.map((text, index) => encodeFrame(wanted[index]!.stream, text)));
}

function fixedTime(time: string): string {
  const ns = parseRfc3339(time);
  return ns === undefined ? time : formatRfc3339Fixed(ns);
}
