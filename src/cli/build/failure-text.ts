/** What is said at a build's end: warnings, and of a failure the step's last lines and the Dockerfile's lines. */
import type { BuildFailure, VertexWarning } from "../../spec/solve-status.ts";
import type { SolveState } from "./solve-state.ts";

const SHOWN_LINES = 40;

/** Formats the step that has failed, its last lines, and where it is written; "" if nothing is known but the error. */
export function formatFailure(state: SolveState, { vertex, excerpt = "" }: BuildFailure): string {
  const failed = vertex === undefined ? undefined : state.find(vertex);
  if (failed === undefined) return excerpt;
  const lines = failed.lines
    .slice(-SHOWN_LINES)
    .map(({ text, seconds }) => `${seconds.toFixed(3).slice(0, 5)} ${text}\n`);
  return `------\n > ${failed.vertex.name}:\n${lines.join("")}------\n${excerpt}`;
}

/** Formats the warnings, a line each; "" if there are none. */
export function formatWarnings(warnings: readonly VertexWarning[]): string {
  if (warnings.length === 0) return "";
  const count = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`;
  const lines = warnings.map(({ short, range }) => {
    const line = range?.[0]?.start.line;
    return ` - ${Buffer.from(short, "base64").toString()}${line === undefined ? "" : ` (line ${line})`}\n`;
  });
  return `\n ${count} found (use "lighter build --check" to see more):\n${lines.join("")}`;
}
