/** Lays out what `lighter top` shows: the host in two lines, and a table of what runs on it. */
import type { ContainerUse, UseOfAll } from "../../spec/use.ts";
import { escapeControls } from "../format/harmless.ts";
import { styled } from "../format/look.ts";
import { formatBinarySize, formatSize } from "../format/units.ts";

interface Column {
  heading: string;
  width: number;
  text(row: ContainerUse): string;
}

/** What rows may be sorted by: the most first, names from A on. */
export const SORTS = {
  cpu: ({ cpu }: ContainerUse) => cpu,
  memory: ({ memory }: ContainerUse) => memory,
  io: ({ read, written }: ContainerUse) => read + written,
  network: ({ received, sent }: ContainerUse) => received + sent,
  pids: ({ pids }: ContainerUse) => pids,
  name: () => 0,
} as const;
export type Sort = keyof typeof SORTS;

export function isSort(name: string): name is Sort {
  return Object.hasOwn(SORTS, name);
}

export interface View {
  sort: Sort;
  isReversed: boolean;
  /** The id of the row that keys are about. */
  chosen: string | undefined;
}

const rate = (bytes: number) => (bytes === 0 ? "-" : `${formatSize(bytes, 3)}/s`);
const percent = (value: number) => value.toFixed(1);

const COLUMNS: readonly (Column & { sort?: Sort })[] = [
  { heading: "CPU %", width: 7, sort: "cpu", text: ({ cpu }) => percent(cpu) },
  { heading: "MEMORY", width: 10, sort: "memory", text: ({ memory }) => formatBinarySize(memory) },
  { heading: "MEM %", width: 7, text: ({ memory, memoryLimit }) => percent((100 * memory) / (memoryLimit || 1)) },
  { heading: "PIDS", width: 6, sort: "pids", text: ({ pids }) => String(pids) },
  { heading: "READ", width: 10, sort: "io", text: ({ read }) => rate(read) },
  { heading: "WRITTEN", width: 10, sort: "io", text: ({ written }) => rate(written) },
  { heading: "RECEIVED", width: 10, sort: "network", text: ({ received }) => rate(received) },
  { heading: "SENT", width: 10, sort: "network", text: ({ sent }) => rate(sent) },
];

/** Where the kernel tells: the shares of the last ten seconds in which some task waited. */
const WAITS: readonly Column[] = (["cpu", "memory", "io"] as const).map((kind) => ({
  heading: { cpu: "CPU WAIT", memory: "MEM WAIT", io: "I/O WAIT" }[kind],
  width: 9,
  text: ({ pressure }) => (pressure === undefined ? "-" : `${percent(pressure[kind])}%`),
}));

const NAME_MIN_COLUMNS = 12;
const KEYS = "c CPU  m memory  i I/O  n network  p pids  a name  r reverse   ↑↓ choose  l logs  k stop   q quit";

export function sortRows(rows: readonly ContainerUse[], { sort, isReversed }: Pick<View, "sort" | "isReversed">) {
  const value = SORTS[sort];
  const byName = (a: ContainerUse, b: ContainerUse) => (a.name < b.name ? -1 : 1);
  const sorted = rows.toSorted((a, b) => value(b) - value(a) || byName(a, b));
  return isReversed ? sorted.reverse() : sorted;
}

/** All of it as plain text, for pipes. */
export function plainPage(use: UseOfAll, view: View): string {
  const rows = sortRows(use.containers, view);
  const columns = columnsOf(rows, Number.POSITIVE_INFINITY, longestName(rows));
  const lines = [...hostLines(use), "", headingsOf(columns), ...rows.map((row) => lineOf(row, columns))];
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/**
 * Lines for a screen of this size: as many rows as there is room for, the chosen one among them. `note` is shown in the place of
 * the keys.
 */
export function screenPage(
  use: UseOfAll,
  view: View,
  { rows: height, columns: width, hasColor, note }: { rows: number; columns: number; hasColor: boolean; note: string },
): string[] {
  const rows = sortRows(use.containers, view);
  const columns = columnsOf(rows, width, longestName(rows));
  const top = [...hostLines(use), ""];
  const room = Math.max(height - top.length - 2, 1);
  const at = rows.findIndex(({ id }) => id === view.chosen);
  const first = Math.max(0, Math.min(at - room + 1, rows.length - room));
  const table = rows.slice(first, first + room).map((row) => {
    const line = lineOf(row, columns).padEnd(width);
    if (row.id !== view.chosen) return line;
    return hasColor ? styled(cut(line, width), "chosen", hasColor) : `>${line.slice(1)}`;
  });
  const blank = Array.from({ length: room - table.length }, () => "");
  const headings = headingsOf(columns, view).padEnd(width);
  return [
    ...top.map((line) => cut(line, width)),
    styled(cut(headings, width), "title", hasColor),
    ...table.map((line) => (line.startsWith("\x1b") ? line : cut(line, width))),
    ...blank,
    note === "" ? styled(cut(KEYS, width), "dim", hasColor) : cut(note, width),
  ];
}

function hostLines({ at, host, containers }: UseOfAll): string[] {
  const machines = containers.filter(({ isMachine }) => isMachine).length;
  const waits = host.pressure;
  return [
    [
      new Date(at).toISOString().slice(11, 19),
      `${count(containers.length - machines, "container")}, ${count(machines, "machine")}`,
      `load ${host.load.toFixed(2)}`,
      ...(waits === undefined
        ? []
        : [`waits: CPU ${percent(waits.cpu)}%, memory ${percent(waits.memory)}%, I/O ${percent(waits.io)}%`]),
    ].join("   "),
    [
      `CPU ${percent(host.cpu)}% of ${host.cpuCount}`,
      `memory ${formatBinarySize(host.memory)} of ${formatBinarySize(host.memoryTotal)}`,
      `disk ${formatSize(host.disk, 3)} of ${formatSize(host.diskTotal, 3)}`,
      `received ${rate(host.received)}, sent ${rate(host.sent)}`,
    ].join("   "),
  ];
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** The columns that fit beside the names. */
function columnsOf(rows: readonly ContainerUse[], width: number, nameWidth: number): Column[] {
  const all = [...COLUMNS, ...(rows.some(({ pressure }) => pressure !== undefined) ? WAITS : [])];
  const fitting: Column[] = [];
  let left = width - NAME_MIN_COLUMNS;
  for (const column of all) {
    left -= column.width + 1;
    if (left < 0) break;
    fitting.push(column);
  }
  const name = Math.min(nameWidth, Math.max(left, 0) + NAME_MIN_COLUMNS);
  return [{ heading: "NAME", width: -name, text: nameOf }, ...fitting];
}

function nameOf({ name, isMachine }: ContainerUse): string {
  return `${escapeControls(name)}${isMachine ? " *" : ""}`;
}

function longestName(rows: readonly ContainerUse[]): number {
  return Math.max(NAME_MIN_COLUMNS, ...rows.map((row) => nameOf(row).length));
}

function headingsOf(columns: readonly (Column & { sort?: Sort })[], view?: View): string {
  const isChosen = ({ sort, heading }: { sort?: Sort; heading: string }) =>
    view !== undefined && (sort === view.sort || (view.sort === "name" && heading === "NAME"));
  return columns.map((column) => fit(`${column.heading}${isChosen(column) ? "*" : ""}`, column.width)).join(" ");
}

function lineOf(row: ContainerUse, columns: readonly Column[]): string {
  return columns.map(({ text, width }) => fit(text(row), width)).join(" ");
}

/** Fills a cell; a negative width is for text that begins at the left. */
function fit(text: string, width: number): string {
  return width < 0 ? cut(text, -width).padEnd(-width) : text.padStart(width);
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : text.slice(0, width);
}
