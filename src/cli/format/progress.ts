/**
 * Display of progress messages: on a terminal one line for each ID, redrawn in place; elsewhere a line for each message
 * that is not a bar. The bytes are those that the stock client writes.
 */
import { LighterError } from "../../base/errors.ts";
import { formatRfc3339 } from "./time.ts";
import { formatSize } from "./units.ts";

/** Width that a line needs to hold a bar; narrower terminals show the numbers alone. */
const BAR_MIN_COLUMNS = 110;
const TIME_LEFT_MIN_COLUMNS = 50;
const BAR_CELLS = 50;
/** Width of a terminal that does not tell its size. */
const UNKNOWN_COLUMNS = 200;

interface ProgressDetail {
  readonly current: number;
  readonly total: number;
  /** Unix time in seconds at which the work began, 0 if unknown. */
  readonly start: number;
  readonly hideCounts: boolean;
  /** Unit of `current` and `total`, "" for bytes. */
  readonly units: string;
}

/** One message of a progress stream, after validation. */
export interface JsonMessage {
  readonly stream: string;
  readonly status: string;
  readonly id: string;
  readonly from: string;
  /** Unix time in nanoseconds. */
  readonly timeNs?: bigint;
  readonly progress?: ProgressDetail;
  /** The bar as text, which old servers send. */
  readonly drawn: string;
  readonly failure?: string;
  /** Whether the message is data for programs, which is not shown. */
  readonly isAux: boolean;
}

/** @throws LighterError ("unavailable") if `value` is not a progress message */
export function parseJsonMessage(value: unknown): JsonMessage {
  if (!isObject(value))
    throw new LighterError("unavailable", "read the daemon's answer: a message is not a JSON object");
  const { progressDetail, errorDetail } = value;
  // The stock client ignores an error without details; it must not pass as success.
  const failure = isObject(errorDetail) ? text(errorDetail.message) : value.error;
  const timeNs = integer(value.timeNano) || integer(value.time) * 1_000_000_000n;
  return {
    stream: text(value.stream),
    status: text(value.status),
    id: text(value.id),
    from: text(value.from),
    ...(timeNs === 0n ? {} : { timeNs }),
    ...(isObject(progressDetail) ? { progress: parseDetail(progressDetail) } : {}),
    drawn: text(value.progress),
    ...(typeof failure === "string" ? { failure } : {}),
    isAux: value.aux !== undefined && value.aux !== null,
  };
}

function parseDetail(detail: Readonly<Record<string, unknown>>): ProgressDetail {
  return {
    current: number(detail.current),
    total: number(detail.total),
    start: number(detail.start),
    hideCounts: detail.hidecounts === true,
    units: text(detail.units),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const text = (value: unknown) => (typeof value === "string" ? value : "");
const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : 0);
const integer = (value: unknown) => (typeof value === "number" && Number.isInteger(value) ? BigInt(value) : 0n);

/** Bytes to print for a message, and the error it reports. */
interface Shown {
  readonly text: string;
  readonly failure?: string;
}

export class ProgressDisplay {
  /** Reads the terminal's width, for each bar; undefined if the output is not a terminal. */
  readonly #columns: (() => number) | undefined;
  readonly #nowMs: () => number;
  /** Line number of each ID, counted from the first line that is still redrawn. */
  readonly #lines = new Map<string, number>();

  constructor(columns?: () => number, nowMs: () => number = Date.now) {
    this.#columns = columns;
    this.#nowMs = nowMs;
  }

  show(message: JsonMessage): Shown {
    if (message.isAux) return { text: "" };
    const isTerminal = this.#columns !== undefined;
    let before = "";
    let after = "";
    if (message.id !== "" && (message.progress !== undefined || message.drawn !== "")) {
      let line = this.#lines.get(message.id);
      if (line === undefined) {
        line = this.#lines.size;
        this.#lines.set(message.id, line);
        if (isTerminal) before = "\n";
      }
      const up = this.#lines.size - line;
      if (isTerminal) {
        before += `\x1b[${up}A`;
        after = `\x1b[${up}B`;
      }
    } else this.#lines.clear(); // what is written now stays: the lines above are out of reach
    if (message.failure !== undefined) return { text: before + after, failure: message.failure };
    return { text: before + this.#format(message) + after };
  }

  #format(message: JsonMessage): string {
    const { progress, stream, status, drawn } = message;
    const bar = progress === undefined ? "" : this.#formatBar(progress);
    const redraws = this.#columns !== undefined && stream === "" && progress !== undefined;
    if (!redraws && bar !== "") return "";
    const start = redraws ? "\x1b[2K\r" : "";
    const end = redraws ? "\r" : "";
    const time = message.timeNs === undefined ? "" : `${formatTime(message.timeNs)} `;
    const id = message.id === "" ? "" : `${message.id}: `;
    const from = message.from === "" ? "" : `(from ${message.from}) `;
    let body = `${status}${end}\n`;
    if (progress !== undefined && this.#columns !== undefined) body = `${status} ${bar}${end}`;
    else if (drawn !== "") body = `${status} ${drawn}${end}`;
    else if (stream !== "") body = stream + end;
    return start + time + id + from + body;
  }

  /** Formats "[=====>      ]  12.3MB/45.6MB 3s", or "" if nothing is known. */
  #formatBar(progress: ProgressDetail): string {
    const { current, total, units } = progress;
    if (current <= 0 && total <= 0) return "";
    const count = (value: number) => (units === "" ? formatSize(value) : String(value));
    if (total <= 0) return units === "" ? count(current).padStart(8) : `${current} ${units}`;
    const columns = this.#columns?.() || UNKNOWN_COLUMNS;
    const percent = Math.trunc((current / total) * 100);
    const filled = Math.min(Math.max(Math.trunc(percent / 2), 0), BAR_CELLS);
    const bar = columns > BAR_MIN_COLUMNS ? `[${"=".repeat(filled)}>${" ".repeat(BAR_CELLS - filled)}] ` : "";
    const sum = current > total ? count(current) : `${count(current).padStart(units === "" ? 8 : 0)}/${count(total)}`;
    const counts = units === "" ? sum.padStart(8) : `${sum} ${units}`;
    const left = filled < BAR_CELLS && columns > TIME_LEFT_MIN_COLUMNS ? this.#formatTimeLeft(progress) : "";
    return bar + (progress.hideCounts ? "" : counts) + left;
  }

  /** Formats the time that is left at the pace so far: " 1m3s". */
  #formatTimeLeft({ current, total, start }: ProgressDetail): string {
    if (current <= 0 || start <= 0) return "";
    const elapsedMs = this.#nowMs() - start * 1000;
    const seconds = Math.max(Math.trunc(((total - current) * elapsedMs) / current / 1000), 0);
    const [hours, minutes] = [Math.trunc(seconds / 3600), Math.trunc(seconds / 60) % 60];
    return ` ${hours > 0 ? `${hours}h` : ""}${seconds >= 60 ? `${minutes}m` : ""}${seconds % 60}s`;
  }
}

/** The last second that RFC 3339 can express, less a day to allow for time zones. */
const YEAR_9999_END_S = 253_402_214_400;

/** Formats RFC 3339 in the local zone, with all nine digits of nanoseconds. */
function formatTime(ns: bigint): string {
  const seconds = Number(ns / 1_000_000_000n);
  if (seconds < 0 || seconds > YEAR_9999_END_S) return String(ns);
  const [, clock, zone] = /^(.*?\d\d:\d\d:\d\d)(.*)$/.exec(formatRfc3339(seconds)) ?? [];
  return `${clock}.${String(ns % 1_000_000_000n).padStart(9, "0")}${zone}`;
}
