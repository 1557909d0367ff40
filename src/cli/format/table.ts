/** Tables, templates and JSON of the list commands: what `--format` makes of rows. */
import { compileTemplate, nameType, TemplateError } from "./template.ts";

/** A column that a list command can show: its heading, and its text for one row. */
interface Column<T> {
  readonly heading: string;
  /** Text of the cell. A function takes an argument in templates: {{.Label "x"}}. */
  readonly value: (row: T) => string | ((name: string) => string);
  /** Marks a column that {{json .}} leaves out. */
  readonly method?: true;
}

export type Columns<T> = Readonly<Record<string, Column<T>>>;

/** Layout of columns: the smallest width, and the space after the widest cell. */
interface Layout {
  readonly min: number;
  readonly gap: number;
}

/** Which of two wordings the errors of a template use; those about images name the type of a row in Go. */
interface ErrorWords {
  readonly type?: string;
}

/** Layout of the stock client's tables. */
const TABLE_LAYOUT: Layout = { min: 10, gap: 3 };

/**
 * Renders rows by a `--format`: "table", "table TEMPLATE", "json", or a template for each row. `columns` must be in
 * alphabetical order, which is the order of {{json .}}. Returns lines ready to print, "" if there is nothing.
 * @throws Error that says what is wrong with the template
 */
export function renderRows<T>(rows: readonly T[], columns: Columns<T>, format: string, words: ErrorWords = {}): string {
  const { isTable, template } = compileFormat(format, words);
  try {
    // The template is tried on the headings even if they are not shown: a wrong field is an error even without rows.
    const headings = template(headingContext(columns));
    const lines = rows.map(inTurn(columns, template));
    return isTable ? alignColumns([headings, ...lines]) : lines.map((line) => `${line}\n`).join("");
  } catch (error) {
    throw explain(error, words);
  }
}

/** Whether a format shows a column, for columns that cost the daemon work. */
export function usesColumn<T>(columns: Columns<T>, format: string, name: string): boolean {
  if (format === "json") return false; // the stock client does not ask for costly columns then
  let used = false;
  const context = headingContext(columns);
  Object.defineProperty(context, name, {
    enumerable: true,
    get: () => {
      used = true;
      return "";
    },
  });
  try {
    compileFormat(format, {}).template(context);
  } catch (error) {
    throw explain(error, {});
  }
  return used;
}

/** Returns a row's values under the names of its columns, for templates that walk lists of rows. */
export function rowValues<T>(row: T, columns: Columns<T>): object {
  return contextOf(columns, () => row);
}

function compileFormat(format: string, words: ErrorWords): { isTable: boolean; template: (data: unknown) => string } {
  const isTable = format.startsWith("table");
  const source = isTable ? format.slice("table".length) : format === "json" ? "{{json .}}" : format;
  try {
    return { isTable, template: compileTemplate(unescapeFormat(source), true) };
  } catch (error) {
    throw explain(error, words);
  }
}

function explain(error: unknown, { type }: ErrorWords): unknown {
  if (!(error instanceof TemplateError)) return error;
  if (type !== undefined)
    return new Error(`template parsing error: ${nameType(error.message, type)}`, { cause: error });
  return new Error(`failed to ${error.stage} template: ${error.message}`, { cause: error });
}

/** Returns the headings as a template's context. {{.Label "x-y"}} gives its column the label's name as heading. */
function headingContext<T>(columns: Columns<T>): object {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [
      name,
      column.method === true ? (argument: string) => argument.replaceAll(/[-_]/g, " ") : column.heading,
    ]),
  );
}

/**
 * Returns a function that applies `template` to one row after another. All rows share one context, because making one
 * takes longer than most templates.
 */
function inTurn<T>(columns: Columns<T>, template: (data: unknown) => string): (row: T) => string {
  let current: T;
  const context = contextOf(columns, () => current);
  return (row) => {
    current = row;
    return template(context);
  };
}

/** Returns a context that computes values only when the template asks for them. */
function contextOf<T>(columns: Columns<T>, row: () => T): object {
  const context = {};
  for (const [name, column] of Object.entries(columns))
    Object.defineProperty(context, name, { enumerable: column.method !== true, get: () => column.value(row()) });
  return context;
}

/**
 * Replaces the escapes `\t` and `
 * `, which a shell's single quotes leave as they are.
 */
function unescapeFormat(format: string): string {
  return format
    .replace(/^ +| +$/g, "")
    .replaceAll("\\t", "\t")
    .replaceAll("\\n", "\n");
}

/**
 * Pads tab-separated cells into columns, as Go's tabwriter does with rows of the same shape; the last cell of a line is
 * left unchanged.
 */
export function alignColumns(lines: readonly string[], layout = TABLE_LAYOUT): string {
  const rows = lines.flatMap((line) => line.split("\n")).map((line) => line.split("\t"));
  const out = rows.map(() => "");
  alignBlock(rows, out, { from: 0, to: rows.length, column: 0 }, layout);
  return out.map((line) => `${line}\n`).join("");
}

/** Pads one column: a run of lines that all have a cell there followed by a tab. */
function alignBlock(
  rows: readonly string[][],
  out: string[],
  { from, to, column }: { from: number; to: number; column: number },
  layout: Layout,
): void {
  let line = from;
  while (line < to) {
    if ((rows[line]?.length ?? 0) <= column + 1) {
      out[line] += rows[line]?.[column] ?? "";
      line++;
      continue;
    }
    let end = line;
    while (end < to && (rows[end]?.length ?? 0) > column + 1) end++;
    let width = layout.min;
    for (let i = line; i < end; i++) width = Math.max(width, cellWidth(rows[i]?.[column] ?? "") + layout.gap);
    for (let i = line; i < end; i++) {
      const cell = rows[i]?.[column] ?? "";
      out[i] += cell + " ".repeat(width - cellWidth(cell));
    }
    alignBlock(rows, out, { from: line, to: end, column: column + 1 }, layout);
    line = end;
  }
}

/** Returns a cell's width in code points. */
function cellWidth(cell: string): number {
  return /[\ud800-\udbff]/.test(cell) ? [...cell].length : cell.length;
}
