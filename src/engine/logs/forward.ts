/**
 * Output of containers whose log driver is not a file. Their supervisors write a json-file like all others, and this
 * sends it on: a server that is away delays it, a daemon that is killed interrupts it, and it goes on where it was.
 *
 * How far it is gets written down after each batch (`log-cursor` beside the log), so that each entry is sent once or,
 * after a crash, again. Lost is only what rotation removes before the server was there.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { LOG_FORWARD_FINISH_MS, LOG_FORWARD_PAUSE_MAX_MS, LOG_FORWARD_PAUSE_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { counter } from "../../base/metrics.ts";
import { parseRfc3339, ZERO_TIME } from "../../base/time.ts";
import { type LoggedContainer, logAttributesOf, logTagOf, parseLogConfig } from "../config/log.ts";
import type { Container } from "../container.ts";
import type { ContainerPaths } from "../state/paths.ts";
import { openFluentd } from "./fluentd.ts";
import { openGelf } from "./gelf.ts";
import { openJournal } from "./journald.ts";
import type { LogEntry } from "./log-entry.ts";
import { readLogs } from "./read-logs.ts";
import type { LogSink } from "./sink.ts";
import { openSyslog } from "./syslog.ts";

const failures = counter("logger_log_write_operations_failed_total", "Number of log write operations that failed");

/** A place in a log: the time of the last entry that was sent, and how many entries of that very time were. */
interface Cursor {
  timeNs: bigint;
  count: number;
}

interface Forwarding {
  done: Promise<void>;
  aborter: AbortController;
}

export class LogForwarder {
  readonly #running = new Map<string, Forwarding>();

  /** Sends the log of a container that runs, or has run: what was not sent so far, and what comes until it ends. */
  begin(container: Container, paths: ContainerPaths): void {
    const { record } = container;
    if (record.startedAt === ZERO_TIME) return; // there is no log yet
    const sink = openSink(container);
    if (sink === undefined) return;
    const aborter = new AbortController();
    aborter.signal.addEventListener("abort", () => sink.close()); // a server that takes nothing delays no removal
    const before = this.#running.get(container.id);
    const done = (before?.done ?? Promise.resolve())
      .then(() => forward(container, paths, sink, aborter.signal))
      .catch((error: unknown) => log.error(`send the log of container ${container.id}: ${messageOf(error)}`))
      .finally(() => {
        sink.close();
        if (this.#running.get(container.id)?.done === done) this.#running.delete(container.id);
      });
    this.#running.set(container.id, { done, aborter });
  }

  /** Waits, before the log is removed, until it is sent, if that is soon. */
  async finish(container: Container): Promise<void> {
    const forwarding = this.#running.get(container.id);
    if (forwarding === undefined) return;
    const timer = setTimeout(() => forwarding.aborter.abort(), LOG_FORWARD_FINISH_MS);
    await forwarding.done;
    clearTimeout(timer);
  }

  /** Stops all sending, for another engine in this process: tests. */
  async stop(): Promise<void> {
    const all = [...this.#running.values()];
    for (const { aborter } of all) aborter.abort();
    await Promise.all(all.map(({ done }) => done));
  }
}

/** Opens the sink of a container; undefined if its driver needs none. */
function openSink({ record }: Container): LogSink | undefined {
  const { driver, syslog, fluentd, gelf } = parseLogConfig(record.hostConfig.LogConfig);
  const options = record.hostConfig.LogConfig?.Config ?? {};
  const container: LoggedContainer = {
    id: record.id,
    name: record.name,
    imageName: record.image,
    imageId: record.imageId,
    config: record.config,
  };
  const tag = logTagOf(container, options);
  const attributes = logAttributesOf(container, { ...options, tag: "" });
  if (driver === "journald") return openJournal({ container, tag, attributes });
  if (fluentd !== undefined) return openFluentd(fluentd, { container, tag, attributes });
  if (gelf !== undefined) {
    const command = [...(record.config.Entrypoint ?? []), ...(record.config.Cmd ?? [])].join(" ");
    return openGelf(gelf, { container, tag, attributes, hostname: hostname(), created: record.createdAt, command });
  }
  if (syslog !== undefined) return openSyslog(syslog, { tag, hostname: hostname(), pid: process.pid });
  return undefined;
}

async function forward(container: Container, paths: ContainerPaths, sink: LogSink, signal: AbortSignal): Promise<void> {
  const cursorPath = join(paths.directory, "log-cursor");
  const cursor = readCursor(cursorPath);
  // Entries of the cursor's own time that were sent already are read first.
  let known = cursor.count;
  const query = {
    sinceNs: cursor.timeNs,
    tail: Number.POSITIVE_INFINITY,
    signal,
    onDamage: (error: Error) => log.warn(`send the log of container ${container.id}: ${error.message}`),
    ...(container.isRunning ? { followUntil: container.wait("not-running") } : {}),
  };
  for await (const entries of readLogs(paths.log, query)) {
    for (const entry of entries) {
      const timeNs = parseRfc3339(entry.time) ?? cursor.timeNs;
      if (timeNs === cursor.timeNs && known > 0) {
        known--;
        continue;
      }
      known = 0;
      if (!(await sendUntilTaken(container.id, sink, entry, signal))) return writeCursor(cursorPath, cursor);
      cursor.count = timeNs === cursor.timeNs ? cursor.count + 1 : 1;
      cursor.timeNs = timeNs;
    }
    writeCursor(cursorPath, cursor);
  }
}

/** Sends an entry, trying until it is taken. Returns false if `signal` came first. */
async function sendUntilTaken(id: string, sink: LogSink, entry: LogEntry, signal: AbortSignal): Promise<boolean> {
  for (let pauseMs = LOG_FORWARD_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LOG_FORWARD_PAUSE_MAX_MS))
    try {
      await sink.send(entry);
      if (pauseMs > LOG_FORWARD_PAUSE_MS) log.info(`container ${id}: its log driver takes its log`);
      return true;
    } catch (error) {
      failures.add();
      if (errnoOf(error) === "EMSGSIZE") {
        log.warn(`container ${id}: a log entry is too large for its log driver, and left out`);
        return true;
      }
      if (pauseMs === LOG_FORWARD_PAUSE_MS && errnoOf(error) !== "EAGAIN")
        log.warn(`container ${id}: its log waits for its log driver: ${messageOf(error)}`);
      await pause(pauseMs, undefined, { signal }).catch(() => {}); // aborted
    }
  return false;
}

/** Reads the cursor; it is at the beginning if there is no file, or if a crash has torn it. */
function readCursor(path: string): Cursor {
  try {
    const { timeNs, count } = JSON.parse(readFileSync(path, "utf8")) as { timeNs: string; count: number };
    if (Number.isSafeInteger(count)) return { timeNs: BigInt(timeNs), count };
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "" && !(error instanceof SyntaxError)) throw error;
  }
  return { timeNs: 0n, count: 0 };
}

/** Writes the cursor without a sync: after a crash of the machine a few entries are sent twice. */
function writeCursor(path: string, { timeNs, count }: Cursor): void {
  writeFileSync(`${path}.new`, JSON.stringify({ timeNs: String(timeNs), count }), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
