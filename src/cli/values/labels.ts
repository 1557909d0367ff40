import type { Columns } from "../format/table.ts";

/** `--label` "a=b", "a". @throws Error */
export function parseLabel(text: string): string {
  const name = text.split("=", 1)[0]!.replace(/^[ \t]+/, "");
  if (name === "") throw new Error(`invalid label '${text}': empty name`);
  if (/[ \t]/.test(name)) throw new Error(`label '${name}' contains whitespaces`);
  return text;
}

/** "a=b,c=d", sorted. */
function formatLabels(labels: Readonly<Record<string, string>> | null | undefined): string {
  return Object.entries(labels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(",");
}

/** What a row with labels shows of them: all, and in templates one by its name, {{.Label "x"}}. */
export const labelColumns: Columns<{ readonly Labels?: Readonly<Record<string, string>> | null }> = {
  Label: { heading: "", value: (row) => (name) => row.Labels?.[name] ?? "", method: true },
  Labels: { heading: "LABELS", value: (row) => formatLabels(row.Labels) },
};
