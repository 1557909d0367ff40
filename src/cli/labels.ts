import type { Columns } from "./table.ts";

/** "a=b,c=d", sorted. */
export function formatLabels(labels: Readonly<Record<string, string>> | null | undefined): string {
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
