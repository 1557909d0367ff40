/** Labels: as values of flags, and as columns of lists. */
import type { Columns } from "../format/table.ts";

/**
 * Parses the text of a `--label`: "a=b" or "a".
 * @throws Error
 */
export function parseLabel(text: string): string {
  const name = text.split("=", 1)[0]!.replace(/^[ \t]+/, "");
  if (name === "") throw new Error(`invalid label '${text}': empty name`);
  if (/[ \t]/.test(name)) throw new Error(`label '${name}' contains whitespaces`);
  return text;
}

/** Formats labels as "a=b,c=d", sorted. */
function formatLabels(labels: Readonly<Record<string, string>> | null | undefined): string {
  return Object.entries(labels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(",");
}

/** Columns of rows with labels: all of them, and in templates a single one by name, {{.Label "x"}}. */
export const labelColumns: Columns<{ readonly Labels?: Readonly<Record<string, string>> | null }> = {
  Label: { heading: "", value: (row) => (name) => row.Labels?.[name] ?? "", method: true },
  Labels: { heading: "LABELS", value: (row) => formatLabels(row.Labels) },
};
