/** Warnings and targets as people read them, laid out as BuildKit does. Source: moby/buildkit frontend/subrequests. */
import type { CheckResult } from "./check.ts";
import type { Outline } from "./outline.ts";
import type { Dockerfile, SourceRange } from "./types.ts";

/** Lines above and below that are shown with one line, and with several. */
const AROUND_ONE = 4;
const AROUND_SEVERAL = 2;
const RULER = "-".repeat(20);

/** The lines of a Dockerfile that something is about, with their neighbours. */
export function formatExcerpt(filename: string, lines: readonly string[], ranges: readonly SourceRange[]): string {
  if (ranges.length === 0) return "";
  const first = Math.min(...ranges.map(({ start }) => start));
  let [from, to] = [first, Math.min(lines.length, Math.max(...ranges.map(({ end }) => end)))];
  if (from > lines.length) return "";
  const around = from === to ? AROUND_ONE : AROUND_SEVERAL;
  for (let shown = 0; shown < around; shown++) {
    if (from > 1) [from, shown] = [from - 1, shown + 1];
    if (to < lines.length) [to, shown] = [to + 1, shown + 1];
  }
  const isMeant = (line: number) => ranges.some(({ start, end }) => start <= line && line <= end);
  const shown = lines.slice(from - 1, to).map((line, index) => {
    const number = from + index;
    return ` ${String(number).padStart(3)} | ${isMeant(number) ? ">>>" : "   "} ${line.replace(/\r$/, "")}\n`;
  });
  return `${filename}:${first}\n${RULER}\n${shown.join("")}${RULER}\n`;
}

/** What `--check` prints. */
export function formatCheck(filename: string, text: string, { warnings, error }: CheckResult): string {
  const lines = text.split("\n");
  const count = warnings.length;
  const said = count === 1 ? "1 warning has been found!" : `${count} warnings have been found!`;
  const head =
    count > 0 ? `Check complete, ${said}\n` : error === undefined ? "Check complete, no warnings found.\n" : "";
  const shown = warnings.map(({ rule, url, message, ranges }) => {
    const page = url === "" ? "" : ` - ${url}`;
    return `\nWARNING: ${rule}${page}\n${message}\n${formatExcerpt(filename, lines, ranges)}`;
  });
  const failure = error === undefined ? "" : `${error.message}\n${formatExcerpt(filename, lines, error.ranges)}`;
  return head + shown.join("") + (failure !== "" && count > 0 ? "\n" : "") + failure;
}

/** What `--call=targets` prints: the stages that may be built, in two columns. */
export function formatTargets({ stages }: Dockerfile): string {
  const rows = stages.map(({ index, from }) => {
    const isDefault = index === stages.length - 1;
    return [[from.name, ...(isDefault ? ["(default)"] : [])].filter(Boolean).join(" "), from.description] as const;
  });
  return formatTable([["TARGET", "DESCRIPTION"], ...rows], 1);
}

/** What `--call=outline` prints: what a target may be given, in a table for each kind. */
export function formatOutline({ name, description, args, secrets, ssh }: Outline): string {
  const described = description === "" ? [] : [["DESCRIPTION:", description]];
  const head = `${formatTable([["TARGET:", name || "(default)"], ...described], 1)}\n`;
  const yes = (required: boolean) => (required ? "true" : "");
  const tables = [
    withHead(
      ["BUILD ARG", "VALUE", "DESCRIPTION"],
      args.map((arg) => [arg.name, arg.value, arg.description]),
    ),
    withHead(
      ["SECRET", "REQUIRED"],
      secrets.map((each) => [each.name, yes(each.required)]),
    ),
    withHead(
      ["SSH", "REQUIRED"],
      ssh.map((each) => [each.name, yes(each.required)]),
    ),
  ];
  const shown = tables.map((rows) => (rows.length === 0 ? "" : `${formatTable(rows, 3)}\n`));
  return (name === "" && description === "" ? "" : head) + shown.join("");
}

function withHead(head: readonly string[], rows: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return rows.length === 0 ? [] : [head, ...rows];
}

/** Columns as wide as what is in them, `gap` apart; the last ends with its text. */
function formatTable(rows: readonly (readonly string[])[], gap: number): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)) + gap);
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!))).join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}
