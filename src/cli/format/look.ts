/** What the pages of `explain`, of traces and of `top` have in common. */

export interface PageOptions {
  columns: number;
  hasColor: boolean;
}

const MAX_COLUMNS = 100;
const MIN_COLUMNS = 60;
const STYLES = {
  title: "\x1b[1m",
  phase: "\x1b[36m",
  dim: "\x1b[2m",
  added: "\x1b[32m",
  removed: "\x1b[31m",
  chosen: "\x1b[7m",
};
const PLAIN = "\x1b[0m";

export type Style = keyof typeof STYLES;

/** The options for what is behind an output's fd: colour is for terminals. */
export async function pageOptionsOf(fd: number): Promise<PageOptions> {
  const { readWindowSize } = await import("../../linux/sys/tty.ts");
  const columns = readWindowSize(fd)?.columns;
  return {
    columns: columns || Number.POSITIVE_INFINITY,
    hasColor: columns !== undefined && (process.env.NO_COLOR ?? "") === "",
  };
}

/** The size of terminals that do not tell. */
const DEFAULT_SIZE = { rows: 24, columns: 80 };

/** A terminal's size, as it was told. */
export function screenSize(told: { rows: number; columns: number } | undefined): { rows: number; columns: number } {
  return told === undefined || told.columns === 0 || told.rows === 0 ? DEFAULT_SIZE : told;
}

/** A page's width on something that is so wide. */
export function pageColumns(columns: number): number {
  return Math.max(Math.min(columns, MAX_COLUMNS), MIN_COLUMNS);
}

export function styled(text: string, style: Style, hasColor: boolean): string {
  return hasColor && text.trim() !== "" ? `${STYLES[style]}${text}${PLAIN}` : text;
}

export function formatNs(ns: number): string {
  return ns < 1e6 ? `${(ns / 1e3).toFixed(0)} µs` : `${(ns / 1e6).toFixed(2)} ms`;
}

export function cutEnd(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
