/** A picture of a build for a terminal: a line for each step, with its time at the right, and the last lines of those that run. */
import { escapeControls } from "../format/harmless.ts";
import { partText } from "./part-text.ts";
import { type SolveState, secondsBetween, type VertexState } from "./solve-state.ts";

export interface FrameOptions {
  columns: number;
  /** The most lines that fit; the steps that ended first are left out. */
  rows: number;
  /** RFC 3339. */
  now: string;
  /** When the build began. */
  begun: string;
  hasColor: boolean;
  isEnd: boolean;
}

const TAIL_LINES = 6;
/** Room at the right for "1234.5s". */
const TIME_COLUMNS = 8;
const COLORS = { done: "\x1b[34m", failed: "\x1b[31m", running: "", reset: "\x1b[0m" };

interface Line {
  text: string;
  seconds?: number;
  look: "done" | "failed" | "running";
}

/** Returns the lines, none longer than the terminal is wide. */
export function drawFrame(state: SolveState, options: FrameOptions): string[] {
  const { begun, now, columns, isEnd } = options;
  const seconds = secondsBetween(begun, now).toFixed(1);
  const ended = state.begun.filter(({ vertex }) => vertex.completed !== undefined).length;
  const head = `[+] Building ${seconds}s (${ended}/${state.total})${isEnd ? " FINISHED" : ""}`;
  const groups = state.begun.map((of) => ({ isDone: of.vertex.completed !== undefined, lines: linesOf(of, options) }));
  let excess = isEnd ? 0 : groups.reduce((sum, { lines }) => sum + lines.length, 1) - options.rows;
  const shown = groups.filter(({ isDone, lines }) => {
    if (excess <= 0 || !isDone) return true;
    excess -= lines.length;
    return false;
  });
  const lines = shown.flatMap((group) => group.lines);
  const kept = isEnd ? lines : lines.slice(0, Math.max(options.rows - 1, 1));
  return [cut(head, columns), ...kept.map((line) => draw(line, options))];
}

function linesOf(of: VertexState, { now, isEnd }: FrameOptions): Line[] {
  const { name, started, completed, cached, error } = of.vertex;
  const look = error !== undefined ? "failed" : completed === undefined ? "running" : "done";
  const mark = error !== undefined ? "ERROR " : cached === true ? "CACHED " : "";
  const seconds = secondsBetween(started, completed ?? now);
  const parts = [...of.parts.values()].map(
    (part): Line => ({
      text: ` => => ${partText(part, false)}`,
      seconds: secondsBetween(part.started, part.completed ?? now),
      look: part.completed === undefined ? look : "done",
    }),
  );
  const isRunning = completed === undefined && !isEnd;
  const texts = isRunning ? of.lines.slice(-TAIL_LINES).map(({ text }) => text) : [];
  // What a program draws over its own line is shown as it looks in the end.
  const tail = texts.map((text): Line => ({ text: ` => => # ${text.split("\r").at(-1)}`, look }));
  return [{ text: ` => ${mark}${name}`, seconds, look }, ...parts, ...tail];
}

function draw({ text, seconds, look }: Line, { columns, hasColor }: FrameOptions): string {
  const time = seconds === undefined ? "" : `${seconds.toFixed(1)}s`.padStart(TIME_COLUMNS);
  const room = Math.max(columns - time.length, 1);
  const clean = escapeControls(text.replaceAll("\t", "    ").replaceAll("\n", " "));
  const left = cut(clean, room);
  const line = time === "" ? left : left + " ".repeat(room - [...left].length) + time;
  const color = hasColor ? COLORS[look] : "";
  return color === "" ? line : `${color}${line}${COLORS.reset}`;
}

function cut(text: string, columns: number): string {
  const chars = [...text];
  return chars.length <= columns ? text : chars.slice(0, columns).join("");
}
