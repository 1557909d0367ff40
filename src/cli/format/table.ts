import { compileTemplate, nameType, TemplateError } from "./template.ts";

/** A column a list command can show: its heading, and its text for one row. */
interface Column<T> {
  readonly heading: string;
  /** A function takes arguments in templates: {{.Label "x"}}. */
  readonly value: (row: T) => string | ((name: string) => string);
  /** Not part of {{json .}}. */
  readonly method?: true;
}

export type Columns<T> = Readonly<Record<string, Column<T>>>;

/** How columns are laid out: the narrowest, and the space behind the widest cell. */
interface Layout {
  readonly min: number;
  readonly gap: number;
}

/** The stock client words the errors of a template in two ways; those about images name the type of a row, in Go. */
interface ErrorWords {
  readonly type?: string;
}

/** That of the stock client's tables. */
const TABLE_LAYOUT: Layout = { min: 10, gap: 3 };

/**
 * Renders rows by a `--format`: "table", "table TEMPLATE", "json", or a template for each row.
 * `columns` must be in alphabetical order, which is the order of {{json .}}.
 * Returns lines ready to print, "" if there is nothing. @throws Error that says what is wrong with the template
 */
export function renderRows<T>(rows: readonly T[], columns: Columns<T>, format: string, words: ErrorWords = {}): string {
  const { isTable, template } = compileFormat(format, words);
  try {
    // Tried on the headings even when they are not shown: a wrong field is an error without rows, too.
    const headings = template(headingContext(columns));
    const lines = rows.map(inTurn(columns, template));
    return isTable ? alignColumns([headings, ...lines]) : lines.map((line) => `${line}\n`).join("");
  } catch (error) {
    throw explain(error, words);
  }
}

/** Whether a format shows a column, for those the daemon must work for. */
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

/** A row's values under the names of its columns, for templates that walk lists of rows. */
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

/** {{.Label "x-y"}} heads its column with the label's name. */
function headingContext<T>(columns: Columns<T>): object {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [
      name,
      column.method === true ? (argument: string) => argument.replaceAll(/[-_]/g, " ") : column.heading,
    ]),
  );
}

/** `template` for one row after another. They share a context: to make one takes longer than most templates. */
function inTurn<T>(columns: Columns<T>, template: (data: unknown) => string): (row: T) => string {
  let current: T;
  const context = contextOf(columns, () => current);
  return (row) => {
    current = row;
    return template(context);
  };
}

/** Values are worked out only when the template asks for them. */
function contextOf<T>(columns: Columns<T>, row: () => T): object {
  const context = {};
  for (const [name, column] of Object.entries(columns))
    Object.defineProperty(context, name, { enumerable: column.method !== true, get: () => column.value(row()) });
  return context;
}

/** `\t` and `\n` may be written as escapes in a shell's single quotes. */
function unescapeFormat(format: string): string {
  return format
    .replace(/^ +| +$/g, "")
    .replaceAll("\\t", "\t")
    .replaceAll("\\n", "\n");
}

/**
 * Pads tab-separated cells into columns, as Go's tabwriter does with rows of the same shape; the last cell of a line is
 * left as it is.
 */
export function alignColumns(lines: readonly string[], layout = TABLE_LAYOUT): string {
  const rows = lines.flatMap((line) => line.split("\n")).map((line) => line.split("\t"));
  const out = rows.map(() => "");
  alignBlock(rows, out, { from: 0, to: rows.length, column: 0 }, layout);
  return out.map((line) => `${line}\n`).join("");
}

/** A column is a run of lines that all have a cell there with a tab behind it. */
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

/** In code points. */
function cellWidth(cell: string): number {
  return /[\ud800-\udbff]/.test(cell) ? [...cell].length : cell.length;
}
